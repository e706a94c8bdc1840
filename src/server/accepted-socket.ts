import net from 'node:net';

/** One read takes at most this much. Ours: as for backends. */
const READ_BUFFER_BYTES = 64 * 1024;

/** All plain clients are read into it, one after the other: it stays in the processor's cache. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);

type Handle = NonNullable<net.SocketConstructorOpts['handle']>;

/**
 * The socket of a client, read without a stream between. Of a socket that it accepted, Node allocates 64 KB for each read and
 * passes the chunk through a Readable; against that, sockets that are opened have `onread` (`net.createConnection`), and
 * accepted ones have nothing. So the connection is moved from the socket that Node made to one that has it, too. What that takes
 * is undocumented, and looked at before it is used: where it is not as expected, clients are read as Node has it.
 *
 * Until `takeChunks` it behaves as any socket does, for the login and TLS.
 */
export class AcceptedSocket extends net.Socket {
  #take: ((chunk: Buffer) => void) | null = null;

  private constructor(handle: Handle) {
    super({
      handle,
      allowHalfOpen: true,
      onread: { buffer: readBuffer, callback: (bytes) => this.#read(bytes) },
    });
  }

  /** Moves the connection of a socket that has just been accepted; the socket itself where that cannot be done. */
  static of(socket: net.Socket): net.Socket {
    const handle: unknown = Reflect.get(socket, '_handle');
    if (!isReadInto(handle) || socket.readableLength > 0 || socket.writableLength > 0) return socket;
    Reflect.set(socket, '_handle', null);
    // Without its handle that says no more than that it is not used any longer.
    socket.destroy();
    return new AcceptedSocket(handle);
  }

  /**
   * From now on chunks go to `take` as they are read, and belong to it. To be called once.
   * @returns what was read before, null for nothing
   */
  takeChunks(take: (chunk: Buffer) => void): Buffer | null {
    const earlier: unknown = this.read();
    this.#take = take;
    this.resume();
    return Buffer.isBuffer(earlier) ? earlier : null;
  }

  /** @returns whether to read on */
  #read(bytes: number): boolean {
    const chunk = Buffer.from(readBuffer.subarray(0, bytes));
    if (this.#take === null) return this.push(chunk);
    this.#take(chunk);
    return true;
  }
}

function isReadInto(handle: unknown): handle is Handle {
  return typeof handle === 'object' && handle !== null && 'useUserBuffer' in handle && typeof handle.useUserBuffer === 'function';
}
