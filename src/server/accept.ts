import type net from 'node:net';
import type { Authenticator } from '../auth/authentication.ts';
import { errorResponseFor } from '../protocol/error-response.ts';
import { type ClientLogin, LoginMachine, type LoginStep } from '../session/login.ts';
import type { Clock } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { fromWireText } from '../util/wire-text.ts';
import { SocketReader } from './socket-reader.ts';
import type { ListenerTls } from './tls.ts';

/** What became of a connection. */
export type AcceptedClient =
  /** AuthenticationOk was sent. The socket (a TLSSocket if `tls`) is not read from; bytes before its next ones are in `rest`. */
  | ({ readonly kind: 'session'; readonly socket: net.Socket } & ClientLogin)
  /** The socket is to be closed when the request was passed on: the client waits for that. */
  | { readonly kind: 'cancel'; readonly socket: net.Socket; readonly processId: number; readonly secretKey: Buffer }
  /** It was refused or went away, and is closed or about to be. `reason` was logged. */
  | { readonly kind: 'closed'; readonly reason: string };

export interface AcceptorOptions {
  readonly authenticator: Authenticator;
  /** Null: clients are told that there is no TLS. */
  readonly tls: ListenerTls | null;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** From the accepted connection to AuthenticationOk, TLS included. */
  readonly loginTimeoutMs: number;
  /** Connections that are logging in at the same time; one more is refused. */
  readonly maxLogins: number;
}

/** How long a refused client has to read why, before its connection is cut. Ours. */
const LINGER_MS = 1_000;

/** Takes accepted connections through their login. */
export class ClientAcceptor {
  readonly #options: AcceptorOptions;
  #logins = 0;

  constructor(options: AcceptorOptions) {
    this.#options = options;
  }

  /** Connections that are logging in. */
  get logins(): number {
    return this.#logins;
  }

  /** Never throws. An `error` listener stays on the socket, so the process survives errors of it. */
  async accept(socket: net.Socket): Promise<AcceptedClient> {
    socket.on('error', () => undefined);
    socket.setNoDelay(true);
    const login = new Login(this.#options, socket);
    if (this.#logins >= this.#options.maxLogins) {
      return login.refuse(new OperationalError('too_many_clients', 'sorry, too many clients already'), 'too many logins');
    }
    this.#logins++;
    try {
      return await login.run();
    } catch (error) {
      return login.refuseForBug(error);
    } finally {
      this.#logins--;
    }
  }
}

/** One connection's login: does what the machine decides. */
class Login {
  readonly #options: AcceptorOptions;
  readonly #machine: LoginMachine;
  readonly #address: string;
  #socket: net.Socket;
  #reader: SocketReader;
  #expired = false;

  constructor(options: AcceptorOptions, socket: net.Socket) {
    const { authenticator, tls } = options;
    this.#options = options;
    this.#address = socket.remoteAddress ?? '';
    this.#socket = socket;
    this.#reader = new SocketReader(socket);
    this.#machine = new LoginMachine({
      authenticator,
      address: this.#address,
      tls: tls === null ? 'none' : tls.required ? 'required' : 'offered',
    });
  }

  async run(): Promise<AcceptedClient> {
    const timer = this.#options.clock.after(this.#options.loginTimeoutMs, () => this.#expire());
    try {
      for (;;) {
        const result = await this.#do(await this.#machine.step());
        if (result !== null) return result;
      }
    } finally {
      timer.cancel();
      this.#reader.release();
    }
  }

  refuse(error: OperationalError, reason: string): AcceptedClient {
    return this.#sendAway(errorResponseFor(error), error.sqlstate, reason);
  }

  /** A defect of our own ends this login, and only this one. */
  refuseForBug(cause: unknown): AcceptedClient {
    this.#options.telemetry.log('error', 'client_login_bug', { address: this.#address, error: errorOf(cause) });
    return this.refuse(new OperationalError('internal', 'internal error during login'), 'internal error');
  }

  async #do(step: LoginStep): Promise<AcceptedClient | null> {
    if (this.#expired) return this.#timedOut();
    switch (step.kind) {
      case 'read': {
        const chunk = await this.#reader.next();
        if (chunk === null) return this.#expired ? this.#timedOut() : this.#gone('the client went away');
        this.#machine.receive(chunk);
        return null;
      }
      case 'send':
        if (step.bytes.length > 0) this.#socket.write(step.bytes);
        return null;
      case 'start tls':
        return await this.#startTls(step);
      case 'accepted':
        this.#socket.write(step.bytes);
        return { kind: 'session', socket: this.#socket, ...step.login };
      case 'cancel':
        return { kind: 'cancel', socket: this.#socket, processId: step.processId, secretKey: step.secretKey };
      default:
        return this.#sendAway(step.bytes, step.error.sqlstate, step.reason);
    }
  }

  async #startTls(step: Extract<LoginStep, { kind: 'start tls' }>): Promise<AcceptedClient | null> {
    const { tls } = this.#options;
    const plain = this.#socket;
    this.#reader.release();
    if (step.received.length > 0) plain.unshift(step.received);
    if (step.answer.length > 0) plain.write(step.answer);
    try {
      if (tls === null) throw new Error('TLS was not offered');
      const { socket, endPointHash } = await tls.secure(plain, step.direct);
      this.#socket = socket;
      this.#reader = new SocketReader(socket);
      this.#machine.secured(endPointHash);
      return null;
    } catch (error) {
      plain.destroy();
      return this.#expired ? this.#timedOut() : this.#gone(`TLS: ${errorOf(error).message}`);
    }
  }

  #expire(): void {
    this.#expired = true;
    this.#reader.stop();
    if (this.#machine.identity === null) this.#socket.destroy();
  }

  /** Only who got as far as saying its name can make sense of an error; others may be in the middle of TLS. */
  #timedOut(): AcceptedClient {
    if (this.#machine.identity === null) return this.#gone('login timeout');
    return this.refuse(new OperationalError('login_timeout', 'canceling authentication due to timeout'), 'login timeout');
  }

  #gone(reason: string): AcceptedClient {
    this.#socket.destroy();
    this.#log('client_login_ended', reason);
    return { kind: 'closed', reason };
  }

  /** Tells why and closes, in such a way that what is still coming in does not reset the connection before it was read. */
  #sendAway(bytes: Buffer, sqlstate: string, reason: string): AcceptedClient {
    const socket = this.#socket;
    this.#reader.release();
    socket.end(bytes);
    socket.resume();
    const linger = this.#options.clock.after(LINGER_MS, () => socket.destroy());
    socket.once('close', () => linger.cancel());
    this.#log('client_login_refused', reason, sqlstate);
    return { kind: 'closed', reason };
  }

  #log(event: string, reason: string, sqlstate?: string): void {
    const identity = this.#machine.identity;
    const user = identity === null ? null : printable(identity.user);
    const database = identity === null ? null : printable(identity.database);
    const level = sqlstate === undefined ? 'debug' : 'warn';
    this.#options.telemetry.log(level, event, { address: this.#address, user, database, reason, sqlstate });
  }
}

function printable(wireText: string): string {
  return fromWireText(wireText) ?? wireText;
}
