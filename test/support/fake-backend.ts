import { once } from 'node:events';
import net from 'node:net';

/** One connection to a {@link FakeBackend}: says and hears plain bytes. */
export class Conversation {
  readonly socket: net.Socket;
  #heard = Buffer.alloc(0);

  constructor(socket: net.Socket) {
    this.socket = socket;
  }

  send(...pieces: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(pieces));
  }

  /** A startup packet or request: everything that its length says. */
  hearPacket(): Promise<Buffer> {
    return this.#hear(0);
  }

  /** A message with its type byte. */
  hearMessage(): Promise<Buffer> {
    return this.#hear(1);
  }

  /** Lets everything up to the end of the connection pass. */
  async untilClosed(): Promise<void> {
    this.socket.resume();
    if (!this.socket.closed) await once(this.socket, 'close');
  }

  async #hear(lengthAt: number): Promise<Buffer> {
    const wanted = () =>
      this.#heard.length < lengthAt + 4 ? Number.POSITIVE_INFINITY : lengthAt + this.#heard.readUInt32BE(lengthAt);
    while (this.#heard.length < wanted()) {
      const chunk: unknown = this.socket.read();
      if (Buffer.isBuffer(chunk)) this.#heard = Buffer.concat([this.#heard, chunk]);
      else if (this.socket.readableEnded || this.socket.destroyed) throw new Error('the other side is gone');
      else await Promise.race([once(this.socket, 'readable'), once(this.socket, 'end'), once(this.socket, 'close')]);
    }
    const end = wanted();
    const packet = this.#heard.subarray(0, end);
    this.#heard = this.#heard.subarray(end);
    return packet;
  }
}

/** A server that says what a test wants said, to each connection in turn; `await using` it. */
export class FakeBackend implements AsyncDisposable {
  readonly host = '127.0.0.1';
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Connections that came. */
  connections = 0;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /** @param talk what becomes of a connection; when it ends or fails, the connection is left as it is */
  static async start(talk: (conversation: Conversation, connection: number) => Promise<void> | void): Promise<FakeBackend> {
    const server = net.createServer();
    const backend = new FakeBackend(server);
    server.on('connection', (socket) => {
      backend.#sockets.add(socket);
      // Each wait of a conversation leaves listeners for the ends that did not come.
      socket.setMaxListeners(0);
      socket.on('error', () => undefined);
      socket.on('close', () => backend.#sockets.delete(socket));
      backend.connections++;
      void Promise.resolve(talk(new Conversation(socket), backend.connections)).catch(() => undefined);
    });
    server.listen(0, backend.host);
    await once(server, 'listening');
    return backend;
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
