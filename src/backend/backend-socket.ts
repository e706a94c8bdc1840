import net from 'node:net';
import tls from 'node:tls';
import { assert } from '../util/assert.ts';

/** One read takes at most this much. Ours: what a loopback or a fast network hands over at once. */
const READ_BUFFER_BYTES = 64 * 1024;

/** A backend whose host vanished is noticed by keepalive probes that begin after this long. Ours. */
const KEEP_ALIVE_DELAY_MS = 30_000;

/**
 * The socket to a backend, plain or TLS, behind one face: one handler for each event instead of an EventEmitter, and no
 * allocation for a read but the view of the bytes.
 *
 * A plain socket reads into one buffer of its own, again and again (Node's `onread`): a chunk is borrowed until its handler
 * returns. Whoever still needs it then, because a write of it was not taken whole, calls {@link BackendSocket.retain}
 * inside the handler, and the next read gets a new buffer. TLS has no such path in Node; there each chunk is new.
 *
 * It starts paused: nothing is read before `resume`. The handlers must be set before.
 */
export class BackendSocket {
  #socket: net.Socket;
  #secured: tls.TLSSocket | null = null;
  #data: (chunk: Buffer) => void = unexpectedData;
  #close: (error: Error | null) => void = () => undefined;
  #drain: () => void = () => undefined;
  #buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  #retained = false;
  #error: Error | null = null;

  constructor(host: string, port: number) {
    this.#socket = net.connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
      onread: {
        buffer: () => this.#nextBuffer(),
        callback: (bytes, buffer) => {
          // The type says Uint8Array; it is the Buffer that `buffer` gave.
          this.#data((buffer as Buffer).subarray(0, bytes));
          return true;
        },
      },
    });
    this.#socket.pause();
    this.#listen(this.#socket);
  }

  /** Resolves when the connection stands. @throws Error as Node reports it; ECONNREFUSED, ENOTFOUND, ... */
  connected(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.onClose((error) => reject(error ?? new Error('connection closed')));
      this.#socket.once('connect', () => {
        this.onClose(() => undefined);
        resolve();
      });
    });
  }

  /**
   * Begins TLS on a plain connection, paused as it was. Must be called in the handler that saw the backend agree, so that
   * not a byte behind it is read as plain text.
   * @throws Error as Node reports it: handshake, certificate, host name
   */
  startTls(options: tls.ConnectionOptions): Promise<void> {
    assert(this.#secured === null, 'TLS has begun already');
    const secured = tls.connect({ ...options, socket: this.#socket });
    this.#secured = secured;
    this.#socket = secured;
    secured.pause();
    secured.on('data', (chunk: Buffer) => this.#data(chunk));
    this.#listen(secured);
    return new Promise((resolve, reject) => {
      this.onClose((error) => reject(error ?? new Error('connection closed during the TLS handshake')));
      secured.once('secureConnect', () => {
        this.onClose(() => undefined);
        resolve();
      });
    });
  }

  /** The TLS socket, once TLS has begun. */
  get secured(): tls.TLSSocket | null {
    return this.#secured;
  }

  /** Takes chunks; each is borrowed until the handler returns. */
  onData(handler: (chunk: Buffer) => void): void {
    this.#data = handler;
  }

  /** Called once, when the connection is gone, with the error that ended it if there was one. */
  onClose(handler: (error: Error | null) => void): void {
    this.#close = handler;
  }

  /** Called when everything that piled up was written. */
  onDrain(handler: () => void): void {
    this.#drain = handler;
  }

  /** The chunk being handled is still needed after the handler returns. */
  retain(): void {
    this.#retained = true;
  }

  /** Writes. Returns false when not all of it was taken at once: it must then stay as it is until it was. */
  write(bytes: Buffer): boolean {
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  /** Writes several in one system call. Returns as `write` does. */
  writeAll(pieces: readonly Buffer[]): boolean {
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
    return this.#socket.writableLength === 0;
  }

  /** Bytes not yet taken by the kernel. */
  get writableLength(): number {
    return this.#socket.writableLength;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends what is pending, then closes. */
  end(): void {
    this.#socket.end();
  }

  /** Closes at once. `onClose` is told of `error`. */
  destroy(error: Error | null = null): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #nextBuffer(): Buffer {
    if (this.#retained) {
      this.#retained = false;
      this.#buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
    }
    return this.#buffer;
  }

  #listen(socket: net.Socket): void {
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('drain', () => this.#drain());
    socket.on('close', () => {
      // Once TLS has begun its socket closes after the plain one below it, when all that it had received was read.
      if (socket === this.#socket) this.#close(this.#error);
    });
  }
}

function unexpectedData(): void {
  assert(false, 'bytes were read before anybody asked for them');
}
