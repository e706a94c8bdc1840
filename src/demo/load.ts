import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { errorOf } from '../util/errors.ts';
import { enterShop, SHOPPERS, TEAS } from './shop.ts';

export interface LoadOptions {
  readonly address: { readonly host: string; readonly port: number };
  /** Sessions that only read. */
  readonly readers: number;
  /** Sessions that write and at once read what they wrote; at most {@link SHOPPERS}. */
  readonly writers: number;
  /** Between two statements of one session. */
  readonly pauseMs: number;
}

/** What happened, counted by the port of the server that ran it, as the server itself said. */
export interface Tally {
  /** Reads of sessions that only read. */
  readonly reads: Map<number, number>;
  readonly writes: Map<number, number>;
  /** Reads of what the same session had just written. */
  readonly ownReads: Map<number, number>;
  /** Of these, the ones that did not see it. */
  missed: number;
  failed: number;
  firstFailure: string | null;
}

const READ = "SELECT stock, current_setting('port')::int AS port FROM tea WHERE id = $1";
const WRITE = "UPDATE basket SET items = $2 WHERE shopper = $1 RETURNING current_setting('port')::int AS port";
const OWN_READ = "SELECT items, current_setting('port')::int AS port FROM basket WHERE shopper = $1";

/** Sessions of the shop at work until they are stopped. They know one address and nothing of what is behind it. */
export class Load implements AsyncDisposable {
  readonly #options: LoadOptions;
  readonly #sessions: Promise<void>[];
  #tally = emptyTally();
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    const writers = Array.from({ length: Math.min(options.writers, SHOPPERS) }, (_, index) => index + 1);
    this.#sessions = [
      ...Array.from({ length: options.readers }, () => this.#live((client) => this.#read(client))),
      ...writers.map((shopper) => this.#live((client) => this.#writeAndRead(client, shopper))),
    ];
  }

  /** What happened since the last call. */
  take(): Tally {
    const tally = this.#tally;
    this.#tally = emptyTally();
    return tally;
  }

  /** What has happened since the last {@link take}; still counting. */
  get tally(): Readonly<Tally> {
    return this.#tally;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#sessions);
  }

  /** A session that failed starts again with a new connection, as an application's pool would. */
  async #live(step: (client: Client) => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      let client: Client | null = null;
      try {
        client = await enterShop(this.#options.address);
        while (!this.#stopped) {
          await step(client);
          await sleep(this.#options.pauseMs);
        }
      } catch (error) {
        this.#tally.failed++;
        this.#tally.firstFailure ??= errorOf(error).message;
        await sleep(100);
      } finally {
        await client?.end().catch(() => undefined);
      }
    }
  }

  async #read(client: Client): Promise<void> {
    const { rows } = await client.query<{ port: number }>(READ, [1 + Math.floor(Math.random() * TEAS)]);
    count(this.#tally.reads, rows[0]?.port);
  }

  async #writeAndRead(client: Client, shopper: number): Promise<void> {
    const items = Math.floor(Math.random() * 1e9);
    const written = await client.query<{ port: number }>(WRITE, [shopper, items]);
    count(this.#tally.writes, written.rows[0]?.port);
    const { rows } = await client.query<{ items: number; port: number }>(OWN_READ, [shopper]);
    count(this.#tally.ownReads, rows[0]?.port);
    if (rows[0]?.items !== items) this.#tally.missed++;
  }
}

/** All counts of a map together. */
export function total(counts: ReadonlyMap<number, number>): number {
  return [...counts.values()].reduce((sum, value) => sum + value, 0);
}

function emptyTally(): Tally {
  return { reads: new Map(), writes: new Map(), ownReads: new Map(), missed: 0, failed: 0, firstFailure: null };
}

function count(counts: Map<number, number>, port = 0): void {
  counts.set(port, (counts.get(port) ?? 0) + 1);
}
