import type net from 'node:net';
import { sendCancel } from '../backend/cancel.ts';
import { type DialedBackend, dialBackend } from '../backend/dial.ts';
import type { BackendTls } from '../backend/tls.ts';
import { encodeBackendKeyData, encodeParameterStatus, READY_FOR_QUERY } from '../protocol/backend-encoders.ts';
import type { ClientLogin } from '../session/login.ts';
import type { Clock } from '../util/clock.ts';
import { OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { Client } from './clients.ts';

export interface ReplicationRelayParts {
  /** Where the primary is; null while there is none. */
  readonly primary: () => { readonly host: string; readonly port: number } | null;
  readonly tls: () => BackendTls;
  readonly clock: Clock;
  readonly measures: Measures;
  readonly gone: () => void;
}

const DIAL_TIMEOUT_MS = 10_000;

/** Beyond this many unsent bytes the client is not read on. Ours; more than a socket's own mark, so that `drain` follows. */
const MAX_UNSENT_BYTES = 256 * 1024;

/**
 * A client of physical or logical replication: a connection of its own to the primary, relayed byte for byte after the
 * login. Nothing of it is pooled, classified or retried.
 */
export class ReplicationRelay implements Client {
  readonly user: string;
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly #client: net.Socket;
  readonly #backend: DialedBackend;
  readonly #endpoint: { readonly host: string; readonly port: number };
  readonly #parts: ReplicationRelayParts;
  #closed = false;

  private constructor(
    login: ClientLogin & { readonly socket: net.Socket },
    identity: { readonly processId: number; readonly secretKey: Buffer },
    backend: DialedBackend,
    endpoint: { readonly host: string; readonly port: number },
    parts: ReplicationRelayParts,
  ) {
    this.user = login.user;
    this.processId = identity.processId;
    this.secretKey = identity.secretKey;
    this.#client = login.socket;
    this.#backend = backend;
    this.#endpoint = endpoint;
    this.#parts = parts;
    this.#relay(login.rest);
  }

  /** @throws as `dialBackend`; OperationalError `no_primary` */
  static async open(
    login: ClientLogin & { readonly socket: net.Socket },
    identity: { readonly processId: number; readonly secretKey: Buffer },
    parts: ReplicationRelayParts,
  ): Promise<ReplicationRelay> {
    const endpoint = parts.primary();
    if (endpoint === null) throw new OperationalError('no_primary', 'no primary is available');
    const { host, port } = endpoint;
    const backend = await dialBackend({
      host,
      port,
      user: login.user,
      database: login.database,
      parameters: login.parameters,
      credential: login.credential,
      tls: parts.tls(),
      timeoutMs: DIAL_TIMEOUT_MS,
      clock: parts.clock,
    });
    if (login.socket.destroyed || login.socket.readableEnded) {
      backend.socket.destroy();
      throw new OperationalError('backend_lost', 'the client went away');
    }
    return new ReplicationRelay(login, identity, backend, endpoint, parts);
  }

  get closed(): boolean {
    return this.#closed;
  }

  cancel(): Promise<void> {
    const { tls, clock, measures } = this.#parts;
    const { processId, secretKey } = this.#backend;
    return sendCancel({
      ...this.#endpoint,
      processId,
      secretKey,
      tls: this.#backend.tls ? tls() : null,
      timeoutMs: DIAL_TIMEOUT_MS,
      clock,
    }).then(
      () => measures.cancels.inc('sent'),
      () => measures.cancels.inc('failed'),
    );
  }

  /** A stream of replication has no end of its own. */
  drain(): void {
    this.terminate();
  }

  terminate(): void {
    this.#end();
  }

  tick(): void {}

  uses(): boolean {
    return false;
  }

  #relay(rest: Buffer): void {
    const client = this.#client;
    const { socket: backend, parameters, rest: greeted } = this.#backend;
    const { measures } = this.#parts;
    for (const [name, value] of parameters) client.write(encodeParameterStatus(name, value));
    client.write(encodeBackendKeyData(this.processId, this.secretKey));
    client.write(READY_FOR_QUERY.idle);
    if (greeted.length > 0) client.write(greeted);
    backend.onData((chunk) => {
      measures.backendReceivedBytes += chunk.length;
      measures.clientSentBytes += chunk.length;
      if (!client.write(chunk)) backend.pause();
      if (client.writableLength > 0) backend.retain();
    });
    backend.onDrain(() => client.resume());
    backend.onClose(() => this.#end());
    client.on('data', (chunk: Buffer) => {
      measures.clientReceivedBytes += chunk.length;
      measures.backendSentBytes += chunk.length;
      backend.write(chunk);
      if (backend.writableLength > MAX_UNSENT_BYTES) client.pause();
    });
    client.on('drain', () => backend.resume());
    client.on('end', () => this.#end());
    client.on('close', () => this.#end());
    if (rest.length > 0) backend.write(rest);
    backend.resume();
    client.resume();
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#backend.socket.end();
    this.#client.end();
    this.#client.resume();
    this.#parts.gone();
  }
}
