import type { Client } from 'pg';
import { connectPg, type PgClientOptions } from '../backend/pg-client.ts';
import type { Clock } from '../util/clock.ts';
import { errorOf } from '../util/errors.ts';
import { parseLsn } from '../util/lsn.ts';
import { replayableLsn } from './lsn-clock.ts';
import type { Answer, Failure, Flushed, Observation } from './observation.ts';

/** Asks one node how it is. One probe at a time; what it brings is reported, also the end of the connection in between. */
export interface Prober {
  /** A probe is under way. */
  readonly busy: boolean;
  /**
   * Starts a probe unless one is under way.
   * @param urgent connect again even if the last attempts failed a moment ago.
   */
  probe(urgent: boolean): void;
  /** Ends the connection; nothing is reported any more. */
  close(): void;
}

export type Report = (observation: Observation) => void;

/** Waits after failed attempts to connect: doubled each time, up to the bound that lets a node be back within a second. */
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 500;
/** A connection that lived this long is replaced at once when it breaks. */
const PROVEN_LIFE_MS = 1000;

/**
 * Everything in one round trip. Role and position come from one CASE: a promotion in the middle can at worst pair
 * `standby` with its last replay position, which is true. Every role may call these functions; the streamed timeline is
 * null for those without pg_read_all_stats, and where nothing is streamed: then the control file says it, which takes longer.
 * Prepared once per connection, together with its first execution.
 */
const PROBE = {
  name: 'pgweir_probe',
  rowMode: 'array',
  text: `SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
    THEN 'standby ' || coalesce(pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text, '')
    ELSE 'primary ' || pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text
      || ' ' || pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text END,
  CASE WHEN pg_catalog.pg_is_in_recovery() THEN coalesce(
    (SELECT received_tli FROM pg_catalog.pg_stat_get_wal_receiver()),
    greatest(
      (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
      (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())))::pg_catalog.text END,
  CASE WHEN NOT pg_catalog.pg_is_in_recovery()
    THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,
  pg_catalog.current_setting('default_transaction_read_only'),
  (SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()),
  pg_catalog.current_setting('server_version_num'),
  pg_catalog.current_setting('wal_block_size'),
  pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::pg_catalog.text,
  (1000 * extract(epoch FROM pg_catalog.current_setting('wal_writer_delay')::pg_catalog.interval))::pg_catalog.text`,
} as const;

/** What the monitor's session must not inherit from its role or the server. Once per connection. */
const PREPARATION = `SET search_path = pg_catalog;
  SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout';
  SET statement_timeout = `;

/** Probes over one connection that is kept open. */
export class BackendProber implements Prober {
  readonly #login: PgClientOptions;
  readonly #clock: Clock;
  readonly #report: Report;
  #client: Client | null = null;
  #openedAtMs = 0;
  /** The first probe on this connection was answered. */
  #proven = false;
  #busy = false;
  #closed = false;
  #retryMs = FIRST_RETRY_MS;
  #retryAtMs = -Infinity;

  /** @param login with the time that each of connecting and a probe may take. */
  constructor(login: PgClientOptions, clock: Clock, report: Report) {
    this.#login = login;
    this.#clock = clock;
    this.#report = report;
  }

  get busy(): boolean {
    return this.#busy;
  }

  probe(urgent: boolean): void {
    if (this.#busy || this.#closed) return;
    if (this.#client === null && !urgent && this.#clock.now() < this.#retryAtMs) return;
    this.#busy = true;
    void this.#probe();
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  async #probe(): Promise<void> {
    let observation: Observation;
    try {
      this.#client ??= await this.#open();
      observation = await this.#ask(this.#client);
      this.#proven = true;
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      if (this.#giveUp() && !this.#closed) {
        // It used to answer here: one more attempt on a new connection decides.
        this.#tell({ kind: 'break', detail: messageOf(error) });
        return void this.#probe();
      }
      observation = { kind: 'failure', problem: problemOf(error), detail: messageOf(error) };
    }
    this.#busy = false;
    this.#tell(observation);
  }

  async #open(): Promise<Client> {
    const client = await connectPg(this.#login);
    try {
      await client.query(PREPARATION + Math.ceil(this.#login.timeoutMs));
      if (this.#closed) throw new Error('closed');
    } catch (error) {
      end(client);
      throw error;
    }
    this.#openedAtMs = this.#clock.now();
    client.on('end', () => this.#lostWhileIdle(client));
    return client;
  }

  async #ask(client: Client): Promise<Answer> {
    const sentAtMs = this.#clock.now();
    const { rows } = await client.query<(string | null)[]>(PROBE);
    return parseAnswer(rows[0] ?? [], sentAtMs);
  }

  /** A probe under way is rejected by the driver; here only the time in between counts. */
  #lostWhileIdle(client: Client): void {
    if (this.#client !== client || this.#busy || this.#closed) return;
    const again = this.#giveUp();
    this.#tell({ kind: 'break', detail: 'connection closed' });
    if (again) this.probe(true);
  }

  /** Drops the connection. Returns whether a new one is to be opened at once. */
  #giveUp(): boolean {
    const now = this.#clock.now();
    const again = this.#proven && now - this.#openedAtMs >= PROVEN_LIFE_MS;
    this.#drop();
    this.#retryAtMs = now + this.#retryMs;
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
    return again;
  }

  #drop(): void {
    if (this.#client !== null) end(this.#client);
    this.#client = null;
    this.#proven = false;
  }

  #tell(observation: Observation): void {
    if (!this.#closed) this.#report(observation);
  }
}

/** The driver destroys the socket when a query is under way, and says goodbye otherwise. */
function end(client: Client): void {
  void client.end().catch(() => undefined);
}

/**
 * @param row the columns of {@link PROBE}.
 * @throws Error when this is not what a PostgreSQL server answers.
 */
export function parseAnswer(row: readonly (string | null | undefined)[], sentAtMs: number): Answer {
  const [state, standbyTimeline, walFile, readOnly, systemIdentifier, version, block, segment, delay] = row;
  const [role, position = '', flushPosition = ''] = state?.split(' ') ?? [];
  const inRecovery = role === 'standby';
  const lsn = parseLsn(position);
  const flushed = inRecovery ? null : parseFlushed(flushPosition, Number(delay ?? Number.NaN));
  const geometry = { blockBytes: Number(block), segmentBytes: Number(segment) };
  const timeline = inRecovery ? Number(standbyTimeline ?? 0) : Number.parseInt(walFile?.slice(0, 8) ?? '', 16);
  const plausible =
    (inRecovery ? lsn !== null || position === '' : role === 'primary' && lsn !== null && flushed !== null && timeline > 0) &&
    geometry.blockBytes > 0 &&
    geometry.segmentBytes > 0;
  if (!plausible || !systemIdentifier) throw new Error(`not the answer of a PostgreSQL server: ${JSON.stringify(row)}`);
  return {
    kind: 'answer',
    sentAtMs,
    inRecovery,
    readOnly: readOnly === 'on',
    lsn: inRecovery || lsn === null ? lsn : replayableLsn(lsn, geometry),
    flushed,
    timeline: timeline > 0 ? timeline : null,
    systemIdentifier,
    serverVersion: Number(version),
  };
}

/** The WAL writer needs up to three of its rounds. Source: PostgreSQL documentation, 30.4 Asynchronous Commit. */
const FLUSH_ROUNDS = 3;

function parseFlushed(position: string, walWriterDelayMs: number): Flushed | null {
  const lsn = parseLsn(position);
  return lsn === null || !(walWriterDelayMs >= 0) ? null : { lsn, usuallyWithinMs: FLUSH_ROUNDS * walWriterDelayMs };
}

/** Says by its code what an error of the driver means. Source: PostgreSQL documentation, appendix A. */
function problemOf(error: unknown): Failure['problem'] {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
  // cannot_connect_now: also a standby that is not consistent yet, or with hot_standby off.
  if (code === '57P03') return 'starting up';
  // invalid authorization, no such database, too many connections, insufficient privilege; SASL failures have no code.
  const refused = code === null ? messageOf(error).startsWith('SASL') : /^(28|3D|53|42)/.test(code);
  return refused ? 'login refused' : 'unreachable';
}

function messageOf(error: unknown): string {
  // A failed attempt at every address of a name is an AggregateError, whose own message is empty.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return errorOf(error).message;
}
