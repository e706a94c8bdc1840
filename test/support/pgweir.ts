import { startApp } from '../../src/app.ts';
import { validateConfig } from '../../src/config/validate.ts';
import type { Cluster } from '../../src/demo/cluster.ts';
import type { LogFields, LogLevel, Telemetry } from '../../src/util/telemetry.ts';

/** One line of the log of a pgweir under test. */
interface LogLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: LogFields;
}

/** A pgweir in this process, in front of a cluster. */
export interface Pgweir extends AsyncDisposable {
  readonly host: '127.0.0.1';
  /** The listener that splits, and the one that reads from replicas only. */
  readonly port: number;
  readonly readOnlyPort: number;
  readonly httpPort: number;
  readonly log: readonly LogLine[];
  /** SIGTERM's way out: drains. */
  close(): Promise<void>;
  /** Value of a metric by its whole name with labels, as in the text format; 0 when it is not there. */
  metric(nameWithLabels: string): Promise<number>;
  /** Sum over all label values of a metric. */
  metricSum(name: string): Promise<number>;
}

/**
 * Starts pgweir on free ports in front of `cluster`, with trust for everybody.
 * @param yaml further top-level sections of the configuration; `listen`, `backends`, `monitor`, `auth` and `http` are given
 *   unless `yaml` has them
 */
export async function startPgweir(cluster: Cluster, yaml = ''): Promise<Pgweir> {
  const given = (section: string) => new RegExp(`^${section}:`, 'm').test(yaml);
  const sections = {
    listen: 'listen: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", mode: read-only } ]',
    backends: `backends: [ ${cluster.nodes.map(({ name, port }) => `{ name: ${name}, address: "127.0.0.1:${port}" }`).join(', ')} ]`,
    monitor: 'monitor: { user: postgres }',
    auth: 'auth: { rules: [ { method: trust } ] }',
    http: 'http: "127.0.0.1:0"',
    shutdown: 'shutdown: { drain_timeout: 5s }',
  };
  const text = [
    ...Object.entries(sections)
      .filter(([name]) => !given(name))
      .map(([, line]) => line),
    yaml,
    '',
  ].join('\n');
  const files = { resolve: (path: string) => path, read: () => '' };
  const validation = validateConfig(text, { env: {}, files });
  if (validation.kind === 'invalid') throw new Error(`bad test configuration:\n${text}\n${JSON.stringify(validation.problems)}`);
  const log: LogLine[] = [];
  const telemetry: Telemetry = { log: (level, event, fields = {}) => void log.push({ level, event, fields }) };
  const app = await startApp(validation.config, { telemetry });
  const [split, readOnly] = app.listenAddresses;
  const metrics = async () => (await fetch(`http://127.0.0.1:${app.httpPort}/metrics`)).text();
  return {
    host: '127.0.0.1',
    port: split?.port ?? 0,
    readOnlyPort: readOnly?.port ?? 0,
    httpPort: app.httpPort,
    log,
    close: () => app.close(),
    metric: async (name) => valuesOf(await metrics(), (line) => line.startsWith(`${name} `)),
    metricSum: async (name) => valuesOf(await metrics(), (line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`)),
    [Symbol.asyncDispose]: () => app[Symbol.asyncDispose](),
  };
}

function valuesOf(page: string, wanted: (line: string) => boolean): number {
  return page
    .split('\n')
    .filter(wanted)
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
