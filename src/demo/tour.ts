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
  { what: 'read', goesTo: 'replica', statements: ['SELECT name, %port% FROM product WHERE id = 7'] },
  { what: 'report', goesTo: 'replica', statements: ['SELECT avg(stock), %port% FROM product'] },
  { what: 'write', goesTo: 'primary', statements: ['UPDATE basket SET items = 3 WHERE shopper = 1 RETURNING %port%'] },
  { what: 'read of that write', goesTo: 'either', statements: ['SELECT items, %port% FROM basket WHERE shopper = 1'] },
  { what: 'locking read', goesTo: 'primary', statements: ['SELECT stock, %port% FROM product WHERE id = 7 FOR UPDATE'] },
  { what: 'function that writes', goesTo: 'primary', statements: ['SELECT buy(7), %port%'] },
  {
    what: 'query that writes',
    goesTo: 'primary',
    statements: ['WITH sold AS (UPDATE product SET stock = 9 WHERE id = 7 RETURNING id) SELECT id, %port% FROM sold'],
  },
  { what: 'transaction', goesTo: 'primary', statements: ['BEGIN', 'SELECT stock, %port% FROM product WHERE id = 7', 'COMMIT'] },
  {
    what: 'read-only transaction',
    goesTo: 'replica',
    statements: ['BEGIN READ ONLY', 'SELECT stock, %port% FROM product WHERE id = 7', 'COMMIT'],
  },
  {
    what: 'read with a hint',
    goesTo: 'primary',
    statements: ['/* pgweir: route=primary */ SELECT stock, %port% FROM product WHERE id = 7'],
  },
  {
    what: 'read on the other port',
    goesTo: 'replica',
    statements: ['SELECT stock, %port% FROM product WHERE id = 7'],
    readOnlyListener: true,
  },
];

/** Runs one statement of each kind and shows where the database says it ran, and why pgweir says it went there. */
export async function takeTour(terminal: Terminal, cluster: Cluster, proxy: DemoProxy): Promise<Proof> {
  const session = await enterShop(proxy.address);
  const reader = await enterShop(proxy.readOnlyAddress);
  const rows = [['', 'statement', 'ran on', 'because']];
  const strays: string[] = [];
  try {
    for (const stop of STOPS) {
      const before = await readMetrics(proxy.metricsUrl);
      const port = await visit(stop, stop.readOnlyListener === true ? reader : session);
      const after = await readMetrics(proxy.metricsUrl);
      const { name, role } = placeOf(port, cluster);
      if (role !== stop.goesTo && stop.goesTo !== 'either') strays.push(`${stop.what} ran on the ${role}`);
      rows.push([stop.what, textOf(stop), `${name} ${role}`, reasonBetween(before.routed, after.routed)]);
    }
  } finally {
    await Promise.all([session.end(), reader.end()]);
  }
  terminal.table(rows, ['bold', null, 'cyan', 'dim']);
  const text = strays.length === 0 ? 'each statement above ran where it should' : strays.join('; ');
  return { holds: strays.length === 0, text };
}

/** Runs a stop's statements; the port that the server itself named. */
async function visit(stop: Stop, client: Client): Promise<number> {
  let port = Number.NaN;
  for (const statement of stop.statements) {
    const result = await client.query<{ port: string }>(statement.replace('%port%', "current_setting('port') AS port"));
    port = Number(result.rows[0]?.port ?? port);
  }
  return port;
}

/** The statements as a reader wants to see them: without the question for the port. */
function textOf({ statements }: Stop): string {
  return statements.map((statement) => statement.replace(/, %port%| RETURNING %port%/, '')).join('; ');
}

function placeOf(port: number, { primary, nodes }: Cluster): { name: string; role: 'primary' | 'replica' | 'unknown' } {
  const node = nodes.find((candidate) => candidate.port === port);
  if (node === undefined) return { name: 'nowhere', role: 'unknown' };
  return { name: node.name, role: node === primary ? 'primary' : 'replica' };
}

/** The reasons that were counted between two readings of the metrics, while nobody else was at work. */
function reasonBetween(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string {
  const grown = [...after].filter(([key, value]) => value > (before.get(key) ?? 0)).map(([key]) => key.split(': ')[1] ?? key);
  return [...new Set(grown)].join(', ');
}
