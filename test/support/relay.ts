import { once } from 'node:events';
import net from 'node:net';

/** Whose bytes pass: pgweir's to PostgreSQL, or the answer. */
type Direction = 'to PostgreSQL' | 'to pgweir';

interface Piece {
  readonly direction: Direction;
  readonly chunk: Buffer;
  /** The chunk, byte-as-char. */
  readonly text: string;
  /** Numbered as they came. */
  readonly connection: number;
}

/** What becomes of a chunk: it passes, changed or not; `cut` ends the connection behind these bytes. */
type Fate = Buffer | { readonly cut: Buffer };

/** Stands between pgweir and a PostgreSQL, and lets pass what a test allows; `await using` it. */
export class Relay implements AsyncDisposable {
  readonly port: number;
  /** Asked of every chunk; null lets all pass. */
  rule: ((piece: Piece) => Fate) | null = null;
  readonly #server: net.Server;
  readonly #sockets: Set<net.Socket>;

  private constructor(server: net.Server, port: number, sockets: Set<net.Socket>) {
    this.#server = server;
    this.port = port;
    this.#sockets = sockets;
  }

  static async start(to: { readonly host: string; readonly port: number }): Promise<Relay> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const relay = new Relay(server, address !== null && typeof address === 'object' ? address.port : 0, sockets);
    let connections = 0;
    server.on('connection', (near) => relay.#join(near, net.connect({ ...to, noDelay: true }), connections++));
    return relay;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: net.Socket, far: net.Socket, connection: number): void {
    const ways = [
      [near, far, 'to PostgreSQL'],
      [far, near, 'to pgweir'],
    ] as const;
    for (const [from, to, direction] of ways) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('data', (chunk: Buffer) => this.#pass({ direction, chunk, text: chunk.toString('latin1'), connection }, from, to));
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  #pass(piece: Piece, from: net.Socket, to: net.Socket): void {
    const fate = this.rule?.(piece) ?? piece.chunk;
    if (Buffer.isBuffer(fate)) to.write(fate);
    else {
      to.end(fate.cut);
      from.destroy();
    }
  }
}
