import { connectPg, type PgClientOptions } from '../backend/pg-client.ts';
import { type Catalog, unloadedCatalog } from '../sql/catalog.ts';
import { catalogFromRows } from '../sql/catalog-rows.ts';
import type { SettingCode } from '../sql/setting-code.ts';
import { assert } from '../util/assert.ts';
import type { Clock, Timer } from '../util/clock.ts';
import { errorOf } from '../util/errors.ts';
import type { LogFields, LogLevel, Telemetry } from '../util/telemetry.ts';
import { fromWireText } from '../util/wire-text.ts';
import { type ReadCatalog, readCatalog } from './catalog-reader.ts';
import type { BackendView, Topology } from './view.ts';

/*
 * The catalogs of the databases that clients use, each loaded with the monitor's login when it is first asked for, looked
 * at again now and then, and shortly after DDL has passed through.
 *
 * A replica is asked as soon as it contains everything that was there when the look was due; the primary is when none
 * gets there. On the primary the snapshot of the look would hold back every VACUUM in its database: pages that are not
 * marked as all-visible make other plans, so that a client could tell that somebody else is there. While no replica is
 * fresh, there is also nowhere to send what the catalog would allow.
 *
 * A look costs one query that tells whether anything has changed; only then the catalog is read anew. An unchanged catalog
 * stays the same object, so nothing that was derived from it is thrown away.
 *
 * Between DDL and the next look the old catalog is not trusted for what may silently become wrong: functions, whose new
 * body or volatility nobody knows, count as unknown, so they go to the primary. New names are unknown anyway. What is left
 * (a table that became unlogged, a view that calls a writer now) a standby refuses, and then the read is run again.
 */

/** Catalogs kept at the same time; of more databases the one asked for longest ago is forgotten. */
const MAX_DATABASES = 200;
/** Loads under way at the same time. */
const MAX_LOADS = 2;
/** How often a catalog in use is looked at, for DDL that passed elsewhere. */
const REFRESH_MS = 30_000;
/** After DDL: what follows at once is seen with it. */
const DEBOUNCE_MS = 50;
/** After a look, so many times as long as it took: while there is DDL all the time, looks take up a tenth of it. */
const REST = 9;
/** After a failure, and after the twelfth in a row. */
const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 60_000;
/** How long a look waits for a replica to be fresh enough. */
const FRESH_WAIT_MS = 2_000;

export interface CatalogLoaderOptions {
  /** The time is for each query. */
  readonly login: Omit<PgClientOptions, 'host' | 'port' | 'database'>;
  readonly topology: Pick<Topology, 'current' | 'waitForFence'>;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

interface Entry {
  /** As on the wire. */
  readonly database: string;
  /** What is given out. */
  catalog: Catalog;
  /** What was read last, and by what it would be recognised. */
  loaded: { readonly catalog: Catalog; readonly fingerprint: string } | null;
  loading: boolean;
  /** What sessions have found out about its code since it changed last. */
  settingCode: SettingCode | null;
  /** Changes so far. */
  changes: number;
  /** DDL passed while it was being loaded: the load may have missed it. */
  outdated: boolean;
  dueAtMs: number;
  /** No look before this instant, so that those that DDL asks for do not follow each other closely. */
  restsUntilMs: number;
  /** Since the last look. */
  asked: boolean;
  lastAskedMs: number;
  /** In a row. */
  failures: number;
}

export class CatalogLoader {
  readonly #options: CatalogLoaderOptions;
  readonly #entries = new Map<string, Entry>();
  #loads = 0;
  #version = 0;
  #timer: Timer | null = null;
  #timerAtMs = Infinity;
  #closed = false;

  constructor(options: CatalogLoaderOptions) {
    this.#options = options;
  }

  /** The catalog as far as it is known now; unloaded at first. @param database its name as on the wire */
  catalogFor(database: string): Catalog {
    const entry = this.#entries.get(database) ?? this.#enter(database);
    if (!entry.asked) {
      entry.asked = true;
      // It was left alone because nobody used it: anything may have happened.
      if (entry.dueAtMs === Infinity && !entry.loading) this.refresh(database);
    }
    return entry.catalog;
  }

  /** DDL has passed in this database, or a transaction with DDL has ended. */
  refresh(database: string): void {
    const entry = this.#entries.get(database) ?? this.#enter(database);
    const { loaded } = entry;
    this.#codeChanged(entry);
    if (loaded !== null && entry.catalog === loaded.catalog) entry.catalog = this.#distrusted(loaded.catalog);
    entry.outdated = entry.loading;
    this.#lookSoon(entry);
  }

  /** What the code in the database does to settings; null when nobody has asked since it changed. */
  settingCodeOf(database: string): SettingCode | null {
    return this.#entries.get(database)?.settingCode ?? null;
  }

  /** To be called before the database is asked for it; what is returned takes the answer, which counts until DDL passes. */
  learnsSettingCode(database: string): (code: SettingCode) => void {
    const entry = this.#entries.get(database) ?? this.#enter(database);
    const { changes } = entry;
    return (code) => {
      if (entry.changes === changes) entry.settingCode = code;
    };
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #enter(database: string): Entry {
    if (this.#entries.size >= MAX_DATABASES) this.#forgetOldest();
    const now = this.#options.clock.now();
    const entry: Entry = {
      database,
      catalog: unloadedCatalog,
      loaded: null,
      settingCode: null,
      changes: 0,
      loading: false,
      outdated: false,
      dueAtMs: Infinity,
      restsUntilMs: -Infinity,
      asked: true,
      lastAskedMs: now,
      failures: 0,
    };
    this.#entries.set(database, entry);
    this.#lookAt(entry, now);
    return entry;
  }

  #forgetOldest(): void {
    let oldest: Entry | null = null;
    for (const entry of this.#entries.values()) {
      if (oldest === null || entry.lastAskedMs < oldest.lastAskedMs) oldest = entry;
    }
    if (oldest !== null) this.#entries.delete(oldest.database);
  }

  #codeChanged(entry: Entry): void {
    entry.settingCode = null;
    entry.changes++;
  }

  #distrusted(catalog: Catalog): Catalog {
    return { ...catalog, version: ++this.#version, userFunction: () => null };
  }

  #lookSoon(entry: Entry): void {
    this.#lookAt(entry, Math.max(this.#options.clock.now() + DEBOUNCE_MS, entry.restsUntilMs));
  }

  #lookAt(entry: Entry, atMs: number): void {
    entry.dueAtMs = Math.min(entry.dueAtMs, atMs);
    this.#arm(entry.dueAtMs);
  }

  #arm(atMs: number): void {
    if (this.#closed || atMs >= this.#timerAtMs) return;
    this.#timer?.cancel();
    this.#timerAtMs = atMs;
    this.#timer = this.#options.clock.after(Math.max(0, atMs - this.#options.clock.now()), () => {
      this.#timerAtMs = Infinity;
      this.#work();
    });
  }

  /** Starts what is due, as far as allowed, and waits for the next. */
  #work(): void {
    const now = this.#options.clock.now();
    let nextMs = Infinity;
    for (const entry of this.#entries.values()) {
      if (entry.loading) continue;
      if (entry.asked) entry.lastAskedMs = now;
      if (entry.dueAtMs > now) nextMs = Math.min(nextMs, entry.dueAtMs);
      else if (!entry.asked) entry.dueAtMs = Infinity;
      else if (this.#loads < MAX_LOADS) this.#start(entry);
    }
    // What is due and has to wait is started by the end of a load.
    if (nextMs < Infinity) this.#arm(nextMs);
  }

  #start(entry: Entry): void {
    entry.loading = true;
    entry.asked = false;
    entry.dueAtMs = Infinity;
    this.#loads++;
    void this.#load(entry).then((delayMs) => {
      this.#loads--;
      entry.loading = false;
      if (this.#closed) return;
      if (entry.outdated) this.#lookSoon(entry);
      this.#lookAt(entry, this.#options.clock.now() + delayMs);
      entry.outdated = false;
      this.#work();
    });
  }

  /** @returns how long to wait until the next look. */
  async #load(entry: Entry): Promise<number> {
    const { clock, topology } = this.#options;
    const name = fromWireText(entry.database);
    if (name === null) return FIRST_RETRY_MS;
    const replica = await this.#freshReplica(clock.now());
    const { primary, backends } = topology.current();
    const nodes = [replica, primary === null ? undefined : backends[primary]].filter((node) => node !== undefined);
    if (nodes.length === 0) return FIRST_RETRY_MS;
    const beganMs = clock.now();
    try {
      const read = await this.#readFrom(nodes, name, entry.loaded?.fingerprint ?? null);
      if (read !== null) {
        const catalog = catalogFromRows({ database: entry.database, version: ++this.#version }, read.rows);
        entry.loaded = { catalog, fingerprint: read.fingerprint };
        this.#codeChanged(entry);
      }
      if (entry.loaded !== null) entry.catalog = entry.outdated ? this.#distrusted(entry.loaded.catalog) : entry.loaded.catalog;
      if (entry.failures > 0) this.#log('info', 'catalog_loaded', entry);
      entry.failures = 0;
      return REFRESH_MS;
    } catch (error) {
      const detail = errorOf(error).message;
      if (entry.failures === 0) this.#log('warn', 'catalog_not_loaded', entry, { detail, hint: HINT });
      entry.failures++;
      return Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * entry.failures);
    } finally {
      entry.restsUntilMs = clock.now() + REST * (clock.now() - beganMs);
    }
  }

  /** Asks one node after the other: a replica cancels a look that has been in the way of its replay for too long. */
  async #readFrom(
    [node, ...others]: readonly BackendView[],
    database: string,
    known: string | null,
  ): Promise<ReadCatalog | null> {
    assert(node !== undefined, 'there is somebody to ask');
    try {
      const client = await connectPg({ ...this.#options.login, host: node.host, port: node.port, database });
      try {
        return await readCatalog(client, known);
      } finally {
        void client.end().catch(() => undefined);
      }
    } catch (error) {
      if (others.length === 0) throw error;
      return await this.#readFrom(others, database, known);
    }
  }

  #log(level: LogLevel, event: string, { database }: Entry, fields: LogFields = {}): void {
    this.#options.telemetry.log(level, event, { database: fromWireText(database) ?? database, ...fields });
  }

  /** One that contains everything that was there at `fenceMs`, perhaps after a wait; undefined when there is none. */
  async #freshReplica(fenceMs: number): Promise<BackendView | undefined> {
    const { topology } = this.#options;
    const find = () =>
      topology
        .current()
        .backends.find(
          ({ role, problem, freshThroughMs }) => role === 'replica' && problem === null && freshThroughMs >= fenceMs,
        );
    return find() ?? ((await this.#waitForFence(fenceMs)) ? find() : undefined);
  }

  #waitForFence(fenceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#options.topology.waitForFence(fenceMs, fenceMs + FRESH_WAIT_MS, resolve) === null) resolve(false);
    });
  }
}

const HINT = 'until then, statements there that call functions of users go to the primary';
