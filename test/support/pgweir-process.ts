import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Cluster } from './cluster.ts';
import { until } from './weather.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

/** `pgweir serve` as a process of its own, in front of a cluster; `await using` it. */
export class PgweirProcess implements AsyncDisposable {
  readonly host = '127.0.0.1';
  /** Lines of its log, and what it said on standard error. */
  readonly log: Readonly<Record<string, unknown>>[] = [];
  readonly complaints: string[] = [];
  port = 0;
  readonly #cluster: Cluster;
  readonly #directory = mkdtempSync(join(tmpdir(), 'pgweir-process-'));
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  private constructor(cluster: Cluster, yaml: string) {
    this.#cluster = cluster;
    this.configure(yaml);
    this.#child = spawn(process.execPath, ['src/main.ts', 'serve', '-c', this.#file], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#ended = once(this.#child, 'exit').then(([code]) => code);
    const { stdout, stderr } = this.#child;
    if (stdout !== null) createInterface(stdout).on('line', (line) => this.log.push(JSON.parse(line)));
    if (stderr !== null) createInterface(stderr).on('line', (line) => this.complaints.push(line));
  }

  /** Resolves when clients may come. Further top-level sections of the configuration may be given, or other ones than ours. */
  static async start(cluster: Cluster, yaml = ''): Promise<PgweirProcess> {
    const served = new PgweirProcess(cluster, yaml);
    await until('pgweir has started', () => served.logged('started') || served.#child.exitCode !== null);
    const started = served.log.find(({ event }) => event === 'started');
    if (started === undefined) throw new Error(`pgweir did not start:\n${served.complaints.join('\n')}`);
    served.port = Number(/:(\d+)/.exec(String(started.listen))?.[1]);
    return served;
  }

  /** Writes another configuration; SIGHUP has it read. */
  configure(yaml: string): void {
    const backends = this.#cluster.nodes.map(({ name, port }) => `{ name: ${name}, address: "127.0.0.1:${port}" }`);
    const lines = [
      'listen: [ { address: "127.0.0.1:0" } ]',
      `backends: [ ${backends.join(', ')} ]`,
      'monitor: { user: postgres }',
      'auth: { rules: [ { method: trust } ] }',
      'http: "127.0.0.1:0"',
    ].filter((line) => !new RegExp(`^${line.slice(0, line.indexOf(':'))}:`, 'm').test(yaml));
    writeFileSync(this.#file, [...lines, yaml, ''].join('\n'));
  }

  logged(event: string): boolean {
    return this.log.some((line) => line.event === event);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves to the exit code when the process has ended. */
  ended(): Promise<number | null> {
    return this.#ended;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Memory that it occupies, in bytes (Linux: VmRSS of proc(5)). */
  get residentBytes(): number {
    const line = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8'));
    return Number(line?.[1]) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) this.#child.kill('SIGKILL');
    await this.#ended;
    rmSync(this.#directory, { recursive: true });
  }

  get #file(): string {
    return join(this.#directory, 'pgweir.yaml');
  }
}
