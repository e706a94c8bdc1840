import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect } from 'vitest';
import type { Cluster } from './cluster.ts';
import type { Pgweir } from './pgweir.ts';

/** What the tests of bad days share: clients under load, waiting with a limit, and the look at the pools afterwards. */

/** Waits until the condition holds; the limit is for a machine in trouble, never a measure. Returns how long it took, in ms. */
export async function until(what: string, condition: () => Promise<boolean> | boolean, limitMs = 30_000): Promise<number> {
  const began = performance.now();
  while (!(await condition())) {
    if (performance.now() - began > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(10);
  }
  return performance.now() - began;
}

export async function connectPg(port: number, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', ...options });
  // What ends a connection is told to the query under way, or is what the test is about.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** The port of the node that answered, asked of the database. */
export const WHERE = "SELECT current_setting('port')::int AS port";

/** Sessions that read without a pause, each by itself, one in two with prepared statements. */
export class ReadLoad {
  readonly failures: Error[] = [];
  /** Answers by the port of the node that gave them. */
  readonly answers = new Map<number, number>();
  /** The longest that a read took, in ms. */
  slowestMs = 0;
  readonly #clients: pg.Client[];
  readonly #loops: Promise<void>[];
  /** Answers by session. */
  readonly #counts: number[] = [];
  #over = false;

  private constructor(clients: pg.Client[]) {
    this.#clients = clients;
    this.#loops = clients.map((client, index) => this.#read(client, index));
  }

  static async start(port: number, sessions: number): Promise<ReadLoad> {
    return new ReadLoad(await Promise.all(Array.from({ length: sessions }, () => connectPg(port))));
  }

  get total(): number {
    return this.#clients.length === 0 ? 0 : [...this.answers.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Waits for that many further answers. */
  async more(count: number): Promise<void> {
    const enough = this.total + count;
    await until(`${count} further answers`, () => this.total >= enough || this.failures.length > 0);
  }

  /** Waits for further answers of each of the nodes. Returns how long that took, in ms. */
  servedBy(...ports: number[]): Promise<number> {
    const before = new Map(this.answers);
    const served = (port: number) => (this.answers.get(port) ?? 0) > (before.get(port) ?? 0);
    return until(`an answer of each of ${ports}`, () => ports.every(served));
  }

  /** Waits until every session had a further answer to a read that it began after the call. */
  async everySession(): Promise<void> {
    const before = [...this.#counts];
    await until('an answer for each session', () => this.#counts.every((count, index) => count >= (before[index] ?? 0) + 2));
  }

  async stop(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
    await Promise.all(this.#clients.map((client) => client.end()));
  }

  async #read(client: pg.Client, session: number): Promise<void> {
    const prepared = session % 2 === 0;
    this.#counts[session] = 0;
    while (!this.#over) {
      const began = performance.now();
      try {
        const { rows } = await client.query(prepared ? { name: 'where', text: WHERE } : WHERE);
        const port: number = rows[0].port;
        this.answers.set(port, (this.answers.get(port) ?? 0) + 1);
        this.#counts[session] = (this.#counts[session] ?? 0) + 1;
      } catch (error) {
        this.failures.push(error instanceof Error ? error : new Error(String(error)));
        await sleep(10);
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
    }
  }
}

/** Nothing is lent, waited for or quarantined any more, and no node has a connection left in a transaction. */
export async function expectWholePools(pgweir: Pgweir, cluster: Cluster): Promise<void> {
  const states = ['active', 'quarantined', 'connecting'];
  let seen = '';
  const quiet = async () => {
    const page = await (await fetch(`http://127.0.0.1:${pgweir.httpPort}/metrics`)).text();
    const lines = page.split('\n').filter((line) => {
      const ofPools = states.some((state) => line.startsWith('pgweir_backend_connections{') && line.includes(`state="${state}"`));
      return (ofPools || line.startsWith('pgweir_pool_waiters')) && !line.endsWith(' 0');
    });
    seen = lines.join('\n');
    return lines.length === 0;
  };
  await until('quiet pools', quiet, 15_000).catch((error: unknown) => {
    throw new Error(`pools are not whole:\n${seen}`, { cause: error });
  });
  const sql = `SELECT pid, state, query FROM pg_stat_activity
    WHERE state LIKE 'idle in transaction%' AND application_name NOT LIKE 'pgweir %'`;
  for (const node of cluster.nodes.filter(({ running }) => running)) {
    expect(await node.query(sql), `open transactions on ${node.name}`).toEqual([]);
  }
}
