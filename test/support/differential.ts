import type pg from 'pg';
import { expect } from 'vitest';
import { type Cluster, startCluster } from './cluster.ts';
import type { Conversation } from './conversation.ts';
import { Interleaving } from './interleaving.ts';
import { type Pgweir, startPgweir } from './pgweir.ts';
import { type Manner, play } from './player.ts';
import { connectPg } from './weather.ts';

export interface DifferentialOptions {
  /** Bound on every wait for a reply. */
  readonly timeoutMs: number;
  /** What the cluster holds, and what each conversation begins with; of the conversations in `conversations/` by default. */
  readonly schema?: string;
  readonly rows?: string;
  /** More of pgweir's configuration. */
  readonly config?: string;
  /**
   * Whether other work is always under way, so that quick reads are shared. Then there is one replica only, and the pools are
   * looked at when it has ended: shared connections are kept for a while.
   */
  readonly busy?: boolean;
}

/** A cluster, pgweir in front of it, and what is needed to play a conversation to each from the same beginning. */
export class Differential implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #pgweir: Pgweir;
  /** A client of each node, the primary's first. */
  readonly #watchers: readonly pg.Client[];
  readonly #timeoutMs: number;
  readonly #rows: string;
  /** Clients of pgweir, each in a transaction on the replica. */
  #others: readonly pg.Client[] = [];

  private constructor(cluster: Cluster, pgweir: Pgweir, watchers: readonly pg.Client[], timeoutMs: number, rows: string) {
    this.#cluster = cluster;
    this.#pgweir = pgweir;
    this.#watchers = watchers;
    this.#timeoutMs = timeoutMs;
    this.#rows = rows;
  }

  static async start(options: DifferentialOptions): Promise<Differential> {
    const { timeoutMs, schema = SCHEMA, rows = ROWS, config = '', busy = false } = options;
    const cluster = await startCluster({ replicas: busy ? 1 : 2, settings: { max_prepared_transactions: '5' } });
    await cluster.primary.query(schema);
    await cluster.waitForReplay();
    const pgweir = await startPgweir(cluster, config);
    const watchers = await Promise.all(cluster.nodes.map(({ port }) => connectPg(port)));
    const sides = new Differential(cluster, pgweir, watchers, timeoutMs, rows);
    if (busy) sides.#others = await Promise.all([1, 2].map(() => connectPg(pgweir.port)));
    for (const other of sides.#others) await other.query('BEGIN READ ONLY; SELECT 1');
    return sides;
  }

  /** What PostgreSQL says. */
  async direct(told: Conversation, manner: Manner): Promise<string[]> {
    await this.#begin();
    return play(told, { ...this.#stage, host: this.#cluster.primary.host, port: this.#cluster.primary.port }, manner);
  }

  /** What pgweir says, and that it has kept nothing of it. */
  async through(told: Conversation, manner: Manner): Promise<string[]> {
    await this.#begin();
    const lines = await play(told, { ...this.#stage, host: this.#pgweir.host, port: this.#pgweir.port }, manner);
    if (this.#others.length === 0) await this.#expectWhole();
    return lines;
  }

  /** What PostgreSQL says to each of several, on a connection of his own. */
  async directEach(told: readonly Conversation[]): Promise<string[][]> {
    await this.#begin();
    const stage = { ...this.#stage, host: this.#cluster.primary.host, port: this.#cluster.primary.port };
    return Promise.all(told.map((one) => play(one, stage, { kind: 'whole' })));
  }

  /** What pgweir says to each of several who take turns, and that it has kept nothing of it. */
  async throughTogether(told: readonly Conversation[], seed: number): Promise<string[][]> {
    await this.#begin();
    const order = new Interleaving(told.length, seed);
    const stage = { ...this.#stage, host: this.#pgweir.host, port: this.#pgweir.port, turn: () => order.turn() };
    const heard = await Promise.all(told.map((one) => play(one, stage, { kind: 'whole' }).finally(() => order.leave())));
    await this.#expectWhole();
    return heard;
  }

  /** The other work ends, and pgweir has kept nothing. */
  async calmDown(): Promise<void> {
    const others = this.#others;
    this.#others = [];
    for (const other of others) await other.end();
    await this.#expectWhole();
  }

  /** Value of a metric of pgweir, by its whole name with labels. */
  metric(name: string): Promise<number> {
    return this.#pgweir.metric(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#watchers, ...this.#others].map((client) => client.end()));
    await this.#pgweir[Symbol.asyncDispose]();
    await this.#cluster[Symbol.asyncDispose]();
  }

  get #stage() {
    return { primary: this.#cluster.primary, timeoutMs: this.#timeoutMs };
  }

  /** Every conversation begins with the same rows, on every node. */
  async #begin(): Promise<void> {
    const [primary, ...replicas] = this.#watchers;
    for (const { gid } of (await primary?.query('SELECT gid FROM pg_prepared_xacts'))?.rows ?? []) {
      await primary?.query(`ROLLBACK PREPARED '${gid}'`);
    }
    await primary?.query(this.#rows);
    const position = (await primary?.query('SELECT pg_current_wal_flush_lsn() AS lsn'))?.rows[0].lsn;
    const behind = async (replica: pg.Client) =>
      (await replica.query('SELECT pg_last_wal_replay_lsn() < $1 AS yes', [position])).rows[0].yes;
    for (const replica of replicas) while (await behind(replica));
  }

  /** No lease is out, and no connection was left in a transaction or with a lock. */
  async #expectWhole(): Promise<void> {
    const none = this.#watchers.map(() => 0);
    await expect
      .poll(() => this.#left(), { timeout: this.#timeoutMs, interval: 5 })
      .toEqual({ leases: none, transactions: none, locks: none });
  }

  async #left() {
    const counts = (sql: string) =>
      Promise.all(this.#watchers.map(async (watcher): Promise<number> => (await watcher.query(sql)).rows[0].n));
    return {
      leases: await Promise.all(
        this.#cluster.nodes.map(({ name }) =>
          this.#pgweir.metric(`pgweir_backend_connections{backend="${name}",state="active"}`),
        ),
      ),
      transactions: await counts(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()",
      ),
      locks: await counts("SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND pid IS NOT NULL"),
    };
  }
}

const SCHEMA = `
  CREATE TABLE t (id int PRIMARY KEY, name text);
  CREATE TABLE child (id int, parent int REFERENCES t DEFERRABLE INITIALLY DEFERRED);
  CREATE SEQUENCE numbers;
  CREATE ROLE somebody;
  CREATE FUNCTION noisy(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'noise %', i; RETURN i; END $$;
  CREATE FUNCTION fails(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN i / 0; END $$;
  CREATE FUNCTION catches() RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM 1/0; EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END $$;
  CREATE FUNCTION sets() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '9MB'; END $$;
  CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (900, 'x'); COMMIT; DELETE FROM t WHERE id = 900; END $$;
  CREATE PROCEDURE doubles(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := 2 * n; END $$;
`;

const ROWS = `
  TRUNCATE t, child;
  INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three');
  SELECT setval('numbers', 1, false);
`;

/**
 * What PostgreSQL said as pgweir may say it: an error of pgweir's own does not tell file, line and routine, and where
 * PostgreSQL quotes the name of a prepared statement it may quote the one that it has on the connection.
 */
export function asPgweirMaySay(expected: readonly string[], heard: readonly string[]): string[] {
  return expected.map((line, index) => {
    const other = heard[index] ?? '';
    if (!line.startsWith('S: ErrorResponse') || !other.startsWith('S: ErrorResponse')) return line;
    const name = /prepared statement (\\"pgweir_\d+ ?\\")/.exec(other)?.[1];
    const renamed = name === undefined ? line : line.replace(/prepared statement \\".*?\\"/, `prepared statement ${name}`);
    // In a failed transaction it is the Parse ahead of a Bind that is refused, in the same words.
    const sameRefusal = /"C":"25P02"/.test(line) && /"C":"25P02"/.test(other);
    if (sameRefusal) return renamed.replace(/,"F":.*}$/, /,"F":.*}$/.exec(other)?.[0] ?? '}');
    return other.includes('"F":') ? renamed : renamed.replace(/,"F":.*}$/, '}');
  });
}
