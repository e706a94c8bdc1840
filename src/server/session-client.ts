import type net from 'node:net';
import type { BackendConnection } from '../backend/connection.ts';
import type { Partition } from '../pool/partition.ts';
import type { SessionOptions, SessionParts } from '../session/parts.ts';
import { Session } from '../session/session.ts';
import type { EventClock } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import type { Telemetry } from '../util/telemetry.ts';
import type { Turn } from '../util/turn.ts';
import { ClientSocket } from './client-socket.ts';
import type { Client } from './clients.ts';

export interface SessionTimeouts {
  /** 0: none. */
  readonly idleInTransactionTimeoutMs: number;
  readonly clientIdleTimeoutMs: number;
  readonly queryTimeoutMs: number;
}

export interface SessionClientParts {
  readonly turn: Turn;
  readonly clock: EventClock;
  readonly measures: Measures;
  readonly telemetry: Telemetry;
  readonly timeouts: () => SessionTimeouts;
  /** Passes a cancel request on to the backend that works on this connection; resolves when that was done. */
  readonly cancelOn: (connection: BackendConnection) => Promise<void>;
  readonly gone: (client: SessionClient) => void;
}

/** A client with its session and its socket. */
export class SessionClient implements Client {
  readonly user: string;
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly session: Session;
  readonly #socket: ClientSocket;
  readonly #parts: SessionClientParts;
  readonly #partition: Partition;
  #draining = false;
  /** Since when the work was under way that was cancelled for taking too long. */
  #timedOutSinceMs: number | null = null;

  constructor(
    socket: net.Socket,
    identity: { readonly user: string; readonly processId: number; readonly secretKey: Buffer },
    parts: SessionClientParts,
    session: Omit<SessionParts, 'client' | 'onBug'>,
    options: SessionOptions,
    partition: Partition,
  ) {
    this.#partition = partition;
    this.user = identity.user;
    this.processId = identity.processId;
    this.secretKey = identity.secretKey;
    this.#parts = parts;
    this.#socket = new ClientSocket(
      socket,
      {
        received: (chunk) => this.session.receive(chunk),
        congested: () => this.session.clientCongested(),
        writable: () => this.session.clientWritable(),
        ended: () => this.session.clientEnded(),
        closed: () => {
          parts.gone(this);
          this.session.close();
        },
        failed: (error) => this.#broken(error),
      },
      parts,
    );
    this.session = new Session({ ...session, client: this.#socket, onBug: (error) => this.#broken(error) }, options);
  }

  uses(partition: Partition): boolean {
    return this.#partition === partition;
  }

  /** Sends the end of the login, then serves. */
  start(greeting: Buffer, rest: Buffer): void {
    this.#inTurn(() => this.#socket.send(greeting, 0, greeting.length));
    this.#socket.start(rest);
  }

  cancel(): Promise<void> {
    let passedOn = Promise.resolve();
    this.#inTurn(() => {
      const connection = this.session.cancel();
      if (connection !== null) passedOn = this.#parts.cancelOn(connection);
    });
    return passedOn;
  }

  drain(): void {
    this.#draining = true;
    this.tick(this.#parts.clock.now());
  }

  terminate(): void {
    this.#fail(new OperationalError('shutting_down', 'terminating connection due to administrator command'));
  }

  tick(nowMs: number): void {
    const { session } = this;
    const { idleInTransactionTimeoutMs, clientIdleTimeoutMs, queryTimeoutMs } = this.#parts.timeouts();
    if (!session.idle) {
      this.#inTurn(() => session.probeEnded());
      const since = session.busySinceMs;
      if (queryTimeoutMs === 0 || since === null || nowMs - since < queryTimeoutMs || this.#timedOutSinceMs === since) return;
      this.#timedOutSinceMs = since;
      void this.cancel();
      return;
    }
    const idleMs = nowMs - session.idleSinceMs;
    if (session.inTransaction) {
      if (idleInTransactionTimeoutMs > 0 && idleMs >= idleInTransactionTimeoutMs) {
        this.#fail(
          new OperationalError('idle_in_transaction_timeout', 'terminating connection due to idle-in-transaction timeout'),
        );
      }
    } else if (this.#draining) this.terminate();
    else if (clientIdleTimeoutMs > 0 && idleMs >= clientIdleTimeoutMs) {
      this.#fail(new OperationalError('idle_session_timeout', 'terminating connection due to idle-session timeout'));
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** A defect of ours ends this client, and no other. */
  #broken(cause: unknown): void {
    this.#parts.telemetry.log('error', 'bug', { user: this.user, processId: this.processId, error: errorOf(cause) });
    try {
      this.session.fail(new OperationalError('internal', 'internal error of pgweir'));
    } catch {
      // What had failed fails again. The connections that it held are broken off with it, where they are still held.
      this.#socket.destroy();
    }
  }

  #fail(error: OperationalError): void {
    this.#inTurn(() => this.session.fail(error));
  }

  #inTurn(work: () => void): void {
    this.#parts.turn.run(work, (error) => this.#broken(error));
  }
}
