import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { PROTOCOL_3_0 } from '../../src/protocol/codes.ts';
import { decodeErrorFields } from '../../src/protocol/error-response.ts';
import { encodeCancelRequest, encodeStartup } from '../../src/protocol/startup-messages.ts';

/** The reply to a Query, or to a batch up to its Sync. */
export interface Reply {
  /** Types of its messages in order, without notices and reports of settings. */
  readonly codes: string;
  readonly rows: readonly (readonly string[])[];
  readonly sqlstate: string | null;
  /** The error's text, or empty. */
  readonly message: string;
}

/** What the connection came to, in place of a reply. */
export class ClientError extends Error {}

/** No reply takes longer on a machine that is not in trouble. */
const REPLY_TIMEOUT_MS = 30_000;

interface Pending {
  readonly what: string;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** A client that keeps count of what it asked: every reply is for the oldest question, and nothing comes unasked. */
export class ChaosClient {
  readonly #socket: Socket;
  readonly #port: number;
  readonly #pending: Pending[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #codes = '';
  #rows: string[][] = [];
  #sqlstate: string | null = null;
  #message = '';
  #key: { readonly processId: number; readonly secret: Buffer } = { processId: 0, secret: Buffer.alloc(0) };
  #gone = false;
  /** Came although nothing was asked. */
  unasked: string | null = null;

  private constructor(socket: Socket, port: number) {
    this.#socket = socket;
    this.#port = port;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#lost(new ClientError('the connection was closed')));
  }

  static async login(port: number): Promise<ChaosClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    const client = new ChaosClient(socket, port);
    const parameters = Object.entries({ user: 'postgres', database: 'postgres', application_name: 'chaos' });
    const { sqlstate, message } = await client.ask(encodeStartup(PROTOCOL_3_0, parameters), 'the login');
    if (sqlstate !== null) throw new ClientError(`the login was refused: ${sqlstate} ${message}`);
    return client;
  }

  /** @throws ClientError when the connection ends, or no reply comes */
  ask(bytes: Buffer, what: string): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const timer = setTimeout(
      () => this.#lost(new ClientError(`no reply within ${REPLY_TIMEOUT_MS} ms to ${what}`)),
      REPLY_TIMEOUT_MS,
    );
    if (this.#gone) reject(new ClientError('the connection was closed'));
    else this.#pending.push({ what, resolve, reject, timer });
    this.#socket.write(bytes);
    if (this.#gone) clearTimeout(timer);
    return promise;
  }

  /** Asks to cancel what runs; done when that connection was closed, as libpq does it. */
  async cancel(): Promise<void> {
    const socket = connect({ host: '127.0.0.1', port: this.#port });
    socket.on('error', () => undefined);
    socket.resume();
    socket.end(encodeCancelRequest(this.#key.processId, this.#key.secret));
    await once(socket, 'close');
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Goes without a word. */
  destroy(): void {
    this.#lost(new ClientError('the client has gone'));
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 1 + bytes.readUInt32BE(at + 1);
      if (end > bytes.length) break;
      this.#take(bytes, at, end);
      at = end;
    }
    this.#rest = bytes.subarray(at);
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const code = String.fromCharCode(bytes[start] ?? 0);
    if (code === 'S' || code === 'N') return;
    if (this.#pending.length === 0 && !this.#gone) this.unasked ??= code;
    this.#codes += code;
    if (code === 'D') this.#rows.push(columnsOf(bytes, start));
    else if (code === 'E') {
      const { sqlstate, message } = decodeErrorFields(bytes, start, end);
      this.#sqlstate = sqlstate ?? '';
      this.#message = message ?? '';
    } else if (code === 'K') {
      this.#key = { processId: bytes.readInt32BE(start + 5), secret: Buffer.from(bytes.subarray(start + 9, end)) };
    } else if (code === 'Z') this.#ready();
  }

  #ready(): void {
    const reply = { codes: this.#codes, rows: this.#rows, sqlstate: this.#sqlstate, message: this.#message };
    this.#codes = '';
    this.#rows = [];
    this.#sqlstate = null;
    this.#message = '';
    const pending = this.#pending.shift();
    if (pending === undefined) return;
    clearTimeout(pending.timer);
    pending.resolve(reply);
  }

  #lost(error: ClientError): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#socket.destroy();
    const said = this.#message === '' ? '' : ` after: ${this.#sqlstate} ${this.#message}`;
    for (const { reject, timer, what } of this.#pending.splice(0)) {
      clearTimeout(timer);
      reject(new ClientError(`${error.message}${said}, with ${what} unanswered`));
    }
  }
}

function columnsOf(bytes: Buffer, start: number): string[] {
  const columns: string[] = [];
  let at = start + 7;
  for (let count = bytes.readUInt16BE(start + 5); count > 0; count--) {
    const length = bytes.readInt32BE(at);
    at += 4;
    columns.push(length < 0 ? 'NULL' : bytes.toString('latin1', at, at + length));
    at += Math.max(0, length);
  }
  return columns;
}
