import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { PROTOCOL_3_0 } from '../../src/protocol/codes.ts';
import { clientMessage, type Line, printTranscript, splitStream } from './transcript.ts';
import { logIn } from './wire-login.ts';
import { Message, resultOf, type WireResult } from './wire-message.ts';

export interface WireOptions {
  readonly host: string;
  readonly port: number;
  /** `postgres` when not given. */
  readonly user?: string;
  /** Left to the other side when not given. */
  readonly database?: string;
  readonly password?: string;
  /** More of the startup packet. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** As sent (see codes.ts); 3.0 when not given. */
  readonly protocolVersion?: number;
  /** TLS after an SSLRequest, or at once; none when not given. Any certificate will do unless `tlsOptions` say otherwise. */
  readonly ssl?: 'request' | 'direct';
  readonly tlsOptions?: ConnectionOptions;
  /** Bound on every wait; 5 seconds when not given. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5_000;
/** How much of a conversation is kept for the message of a failure. */
const KEPT_LINES = 300;

/**
 * A client that says exactly what a test wants said, in the pieces it wants. Every wait ends in time, with a message that
 * shows the conversation so far.
 *
 *     using client = await WireClient.connect({ host, port, database: 'postgres' });
 *     client.send(clientMessage('Query', 'select 1'));
 *     const messages = await client.receiveUntilReady();
 */
export class WireClient implements Disposable {
  /** ParameterStatus by name, the last of each. */
  readonly parameters = new Map<string, string>();
  processId = 0;
  key: Buffer = Buffer.alloc(0);
  /** Transaction status of the last ReadyForQuery received: I, T or E. */
  status = '';

  readonly #options: WireOptions;
  #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Bytes that the next message needs to be whole, as far as known. */
  #wanted = 5;
  readonly #messages: Message[] = [];
  readonly #lines: Line[] = [];
  readonly #wakers = new Set<() => void>();
  #closed = false;
  #failure: Error | null = null;

  private constructor(options: WireOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    this.#listen(socket);
  }

  /** Connects and logs in. */
  static async connect(options: WireOptions): Promise<WireClient> {
    const client = await WireClient.open(options);
    try {
      client.send(client.startupMessage());
      await logIn(client, client.#user, options.password ?? '');
      return client;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /** Connects, with TLS if wanted, and says nothing. */
  static async open(options: WireOptions): Promise<WireClient> {
    const socket = connectTcp({ host: options.host, port: options.port, noDelay: true });
    await once(socket, 'connect', { signal: AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS) });
    const client = new WireClient(options, socket);
    if (options.ssl === 'request') {
      client.send(clientMessage('SSLRequest'));
      const answer = (await client.receiveBytes(1)).toString('latin1');
      if (answer !== 'S') throw new Error(`TLS was declined with ${JSON.stringify(answer)}`);
    }
    if (options.ssl !== undefined) await client.#startTls();
    return client;
  }

  /** The startup packet that `connect` sends. */
  startupMessage(): Buffer {
    const { protocolVersion = PROTOCOL_3_0, database, parameters = {} } = this.#options;
    const pairs = { user: this.#user, ...(database === undefined ? {} : { database }), ...parameters };
    return clientMessage(
      'StartupMessage',
      `${protocolVersion >>> 16}.${protocolVersion & 0xffff}`,
      ...Object.entries(pairs).flat(),
    );
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Messages that came and were not received yet. */
  get unread(): number {
    this.#parse();
    return this.#messages.length;
  }

  /** Sends everything in one write. */
  send(...messages: readonly Buffer[]): void {
    const bytes = Buffer.concat(messages);
    this.#note(splitStream('C', bytes));
    this.#socket.write(bytes);
  }

  /** Sends `bytes` in pieces cut at `cuts`, with a pause behind each, so that they arrive apart. */
  async sendCutAt(bytes: Buffer, cuts: readonly number[], pauseMs = 2): Promise<void> {
    this.#note(splitStream('C', bytes));
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      this.#socket.write(bytes.subarray(from, to));
      from = to;
      await sleep(pauseMs);
    }
  }

  /** Sends bytes that need not begin or end with a message. They are not part of the transcript. */
  sendPiece(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** The next `count` messages. */
  receive(count: number): Promise<Message[]> {
    return this.#until(`${count} messages`, () => {
      this.#parse();
      return this.#messages.length < count ? null : this.#messages.splice(0, count).map((message) => this.#received(message));
    });
  }

  /** Messages up to the next ReadyForQuery, with it. */
  async receiveUntilReady(): Promise<Message[]> {
    const messages: Message[] = [];
    while (messages.at(-1)?.bytes[0] !== 0x5a) messages.push(...(await this.receive(1)));
    return messages;
  }

  /** Everything that comes until the other side closes the connection. */
  receiveUntilClosed(): Promise<Message[]> {
    return this.#until('the end of the connection', () => {
      this.#parse();
      return this.#closed ? this.#messages.splice(0).map((message) => this.#received(message)) : null;
    });
  }

  /** Bytes that are no message, such as the answer to an SSLRequest. */
  receiveBytes(count: number): Promise<Buffer> {
    return this.#until(`${count} bytes`, () => {
      if (this.#bytes < count) return null;
      const all = this.#takeBytes();
      this.#putBack(all.subarray(count));
      this.#note([{ side: 'S', bytes: all.subarray(0, count) }]);
      return all.subarray(0, count);
    });
  }

  /** Runs a simple query. @throws WireError with the first error, when the other side is ready again */
  async query(text: string): Promise<WireResult> {
    this.send(clientMessage('Query', text));
    return resultOf(await this.receiveUntilReady());
  }

  /** Runs one statement by the extended protocol, unnamed, with parameters and results in text. @throws WireError */
  async execute(text: string, values: readonly (string | null)[] = []): Promise<WireResult> {
    this.send(
      clientMessage('Parse', '', text, []),
      clientMessage('Bind', '', '', [], values, []),
      clientMessage('Describe', 'P', ''),
      clientMessage('Execute', '', 0),
      clientMessage('Sync'),
    );
    return resultOf(await this.receiveUntilReady());
  }

  /** Asks, on a connection of its own, to cancel what this one runs; done when that connection was closed. */
  async cancel(): Promise<void> {
    using other = await WireClient.open(this.#options);
    other.send(clientMessage('CancelRequest', this.processId, this.key.toString('latin1')));
    await other.receiveUntilClosed();
  }

  /** Stops reading, as a client does that is too slow. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends the end of the stream and goes on reading. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }

  /** The conversation so far, what was received but not asked for included. */
  transcript(): string {
    return printTranscript([...this.#lines, ...this.#messages.map(({ bytes }) => ({ side: 'S' as const, bytes }))]);
  }

  get #user(): string {
    return this.#options.user ?? 'postgres';
  }

  async #startTls(): Promise<void> {
    const { host, ssl, tlsOptions, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const plain = this.#socket;
    plain.removeAllListeners();
    const ALPNProtocols = ssl === 'direct' ? ['postgresql'] : [];
    const secure = connectTls({ socket: plain, host, rejectUnauthorized: false, ALPNProtocols, ...tlsOptions });
    await once(secure, 'secureConnect', { signal: AbortSignal.timeout(timeoutMs) });
    this.#socket = secure;
    this.#listen(secure);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.length;
      this.#wake();
    });
    socket.on('error', (error) => {
      this.#failure = error;
    });
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#closed = true;
        this.#wake();
      });
    }
  }

  #parse(): void {
    if (this.#bytes < this.#wanted) return;
    const all = this.#takeBytes();
    let at = 0;
    this.#wanted = 5;
    while (all.length - at >= 5) {
      const total = 1 + all.readUInt32BE(at + 1);
      if (all.length - at < total) {
        this.#wanted = total;
        break;
      }
      this.#messages.push(new Message(all.subarray(at, at + total)));
      at += total;
    }
    this.#putBack(all.subarray(at));
  }

  #takeBytes(): Buffer {
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return all;
  }

  #putBack(bytes: Buffer): void {
    this.#chunks.unshift(bytes);
    this.#bytes += bytes.length;
  }

  #received(message: Message): Message {
    this.#note([{ side: 'S', bytes: message.bytes }]);
    const { name, args, body } = message;
    if (name === 'ParameterStatus') this.parameters.set(String(args[0]), String(args[1]));
    if (name === 'ReadyForQuery') this.status = String(args[0]);
    if (name === 'BackendKeyData') {
      this.processId = body.readInt32BE();
      this.key = Buffer.from(body.subarray(4));
    }
    return message;
  }

  #note(lines: readonly Line[]): void {
    this.#lines.push(...lines);
    if (this.#lines.length > 2 * KEPT_LINES) this.#lines.splice(0, this.#lines.length - KEPT_LINES);
  }

  #wake(): void {
    for (const waker of this.#wakers) waker();
    this.#wakers.clear();
  }

  async #until<T>(what: string, take: () => T | null): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const taken = take();
      if (taken !== null) return taken;
      if (this.#closed) throw this.#complaint(`the connection ended before ${what}`);
      if (timeout.aborted) throw this.#complaint(`no ${what} within ${timeoutMs} ms`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakers.add(resolve);
      timeout.addEventListener('abort', () => resolve(), { once: true });
      await promise;
    }
  }

  #complaint(what: string): Error {
    return new Error(`${what}; the conversation was:\n${this.transcript()}`, { cause: this.#failure ?? undefined });
  }
}
