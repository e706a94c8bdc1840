import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import { assert } from '../util/assert.ts';
import type { Secret } from '../util/secret.ts';
import { type BackendTls, tlsConnectionOptions } from './tls.ts';

/** Where pgweir asks questions of its own. Ordinary text. */
export interface PgClientOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: Secret | null;
  readonly database: string;
  /** Asked at each connect, since a reload may have brought other files. */
  readonly tls: () => BackendTls;
  /** For connecting, and for each query. */
  readonly timeoutMs: number;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
}

/**
 * A connected client of `pg` for questions of pgweir's own, with the meanings of `sslmode`. Its `error` event has a
 * listener, so that a lost idle connection does no harm; use `end` to learn of it.
 *
 * @throws Error as `pg` reports it
 */
export async function connectPg(options: PgClientOptions): Promise<pg.Client> {
  const [first, second] = encryptions(options.tls(), options.host);
  try {
    return await connect(options, first);
  } catch (error) {
    if (second === undefined || !isAboutEncryption(error)) throw error;
    return await connect(options, second);
  }
}

type Encryption = false | ConnectionOptions;

function encryptions(tls: BackendTls, host: string): [Encryption, Encryption?] {
  const options = tlsConnectionOptions(tls, host);
  switch (tls.mode) {
    case 'disable':
      return [false];
    case 'allow':
      return [false, options];
    case 'prefer':
      return [options, false];
    default:
      return [options];
  }
}

/**
 * Whether the other kind of connection may do better: `pg_hba.conf` refused this one, or TLS did not come about. A backend
 * that is down or silent is not asked twice, so that whoever waits for it learns in time.
 */
function isAboutEncryption(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof pg.DatabaseError) return error.code === '28000';
  return /SSL|TLS/i.test(error.message) || ('code' in error && error.code === 'EPROTO');
}

/** What of a stream `pg` uses to read it. */
interface Source {
  on(event: string, listener: (chunk: Buffer) => void): unknown;
  destroy(error: Error): void;
}

/**
 * Has whatever a backend says that `pg` cannot decode end the connection. `pg` throws it out of the handler of its socket,
 * where nothing but the end of the process would catch it. `attachListeners` (pg/lib/connection.js) hands the stream, plain
 * or TLS, to the parser; it is not part of pg's types.
 */
function guardParser(client: pg.Client): void {
  const connection = client.connection as unknown as { attachListeners(stream: Pick<Source, 'on'>): void };
  assert(typeof connection.attachListeners === 'function', 'pg attaches its parser in another way than it did');
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    const source = stream as Source;
    const guarded = (listener: (chunk: Buffer) => void) => (chunk: Buffer) => {
      try {
        listener(chunk);
      } catch (error) {
        source.destroy(error instanceof Error ? error : new Error('bytes that cannot be decoded'));
      }
    };
    attach({ on: (event, listener) => source.on(event, event === 'data' ? guarded(listener) : listener) });
  };
}

async function connect(options: PgClientOptions, ssl: Encryption): Promise<pg.Client> {
  const { host, port, user, password, database, timeoutMs, applicationName } = options;
  const client = new pg.Client({
    host,
    port,
    user,
    database,
    ssl,
    // A function even for none: `pg` would take a missing or empty password from the environment or from ~/.pgpass.
    password: () => password?.reveal() ?? '',
    // Likewise: PGOPTIONS of our own environment is not meant for backends. Blank, because `pg` takes an empty one for none.
    options: ' ',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    application_name: applicationName,
    keepAlive: true,
  });
  client.on('error', () => undefined);
  guardParser(client);
  try {
    await client.connect();
  } catch (error) {
    // Also ends the socket of a connection that was timed out half way.
    void client.end().catch(() => undefined);
    throw error;
  }
  return client;
}
