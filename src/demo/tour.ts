import type { Client } from 'pg';
import type { Cluster } from './cluster.ts';
import { readMetrics } from './metrics-page.ts';
import type { Proof } from './proofs.ts';
import type { DemoProxy } from './proxy.ts';
import { enterShop } from './shop.ts';
import type { Terminal } from './terminal.ts';

/** One line of the tour. */
interface Stop {
  readonly what: string;
  /** Sent one after another. In one of them `%port%` stands for a column with the port of the server that runs it. */
  readonly statements: readonly string[];
  readonly goesTo: 'primary' | 'replica' | 'either';
  /** Of the two listeners, the one for readers. */
  readonly readOnlyListener?: true;
}

const STOPS: readonly Stop[] = [
  { what: 'read', goesTo: 'replica', statements: ['SELECT name, %port% FROM tea WHERE id = 7'] },
  { what: 'report', goesTo: 'replica', statements: ['SELECT avg(stock), %port% FROM tea'] },
  { what: 'write', goesTo: 'primary', statements: ['UPDATE basket SET items = 3 WHERE shopper = 1 RETURNING %port%'] },
  { what: 'own read', goesTo: 'either', statements: ['SELECT items, %port% FROM basket WHERE shopper = 1'] },
  { what: 'lock', goesTo: 'primary', statements: ['SELECT stock, %port% FROM tea WHERE id = 7 FOR UPDATE'] },
  { what: 'function', goesTo: 'primary', statements: ['SELECT buy(7), %port%'] },
  { what: 'CTE', goesTo: 'primary', statements: ['WITH gone AS (DELETE FROM sale) SELECT avg(stock), %port% FROM tea'] },
  { what: 'transaction', goesTo: 'primary', statements: ['BEGIN', 'SELECT stock, %port% FROM tea WHERE id = 7', 'COMMIT'] },
  {
    what: 'read-only',
    goesTo: 'replica',
    statements: ['BEGIN READ ONLY', 'SELECT stock, %port% FROM tea WHERE id = 7', 'COMMIT'],
  },
  { what: 'hint', goesTo: 'primary', statements: ['/* pgweir: route=primary */ SELECT avg(stock), %port% FROM tea'] },
  { what: 'other port', goesTo: 'replica', statements: ['SELECT name, %port% FROM tea WHERE id = 7'], readOnlyListener: true },
];

/** Runs one statement of each kind and shows where the database says it ran, and why pgweir says it went there. */
export async function takeTour(terminal: Terminal, cluster: Cluster, proxy: DemoProxy): Promise<Proof> {
  const session = await enterShop(proxy.address);
  const reader = await enterShop(proxy.readOnlyAddress);
  try {
    const visits = async () => {
      const seen: Visit[] = [];
      for (const stop of STOPS) seen.push(await visit(stop, stop.readOnlyListener === true ? reader : session, proxy));
      return seen;
    };
    // A rehearsal: it opens connections and lets pgweir read the catalog, as a running system has long done.
    await visits();
    return show(await visits(), terminal, cluster);
  } finally {
    await Promise.all([session.end(), reader.end()]);
  }
}

interface Visit {
  readonly stop: Stop;
  /** Of the server that ran it, as the server itself said. */
  readonly port: number;
  readonly reason: string;
}

async function visit(stop: Stop, client: Client, { metricsUrl }: DemoProxy): Promise<Visit> {
  const before = await readMetrics(metricsUrl);
  let port = Number.NaN;
  for (const statement of stop.statements) {
    const result = await client.query<{ port: string }>(statement.replace('%port%', "current_setting('port') AS port"));
    port = Number(result.rows[0]?.port ?? port);
  }
  const after = await readMetrics(metricsUrl);
  return { stop, port, reason: reasonBetween(before.routed, after.routed) };
}

function show(visits: readonly Visit[], terminal: Terminal, { primary, nodes }: Cluster): Proof {
  const rows = [['', 'statement', 'ran on', 'because']];
  const strays: string[] = [];
  for (const { stop, port, reason } of visits) {
    const role = port === primary.port ? 'primary' : 'replica';
    if (role !== stop.goesTo && stop.goesTo !== 'either') strays.push(`${stop.what} ran on the ${role}`);
    rows.push([stop.what, textOf(stop), `${nodes.find((node) => node.port === port)?.name} ${role}`, reason]);
  }
  terminal.table(rows, ['bold', null, 'cyan', 'dim']);
  const text = strays.length === 0 ? 'each statement above ran where it should' : strays.join('; ');
  return { holds: strays.length === 0, text };
}

/** The statements as a reader wants to see them: without the question for the port. */
function textOf({ statements }: Stop): string {
  return statements.map((statement) => statement.replace(/, %port%| RETURNING %port%/, '')).join('; ');
}

/** The reasons that were counted between two readings of the metrics, while nobody else was at work. */
function reasonBetween(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string {
  const grown = [...after].filter(([key, value]) => value > (before.get(key) ?? 0)).map(([key]) => key.split(': ')[1] ?? key);
  // What follows the statement that decided goes where the transaction is; that explains nothing.
  return grown.filter((reason) => reason !== 'in transaction').join(', ');
}
