import type net from 'node:net';

/**
 * Reads a socket chunk by chunk, by promise, for a login. Whatever is not read stays in the socket, for TLS or for the
 * session that follows.
 */
export class SocketReader {
  readonly #socket: net.Socket;
  #wake: (() => void) | null = null;
  #stopped = false;
  readonly #onEvent = (): void => this.#wake?.();

  constructor(socket: net.Socket) {
    this.#socket = socket;
    for (const event of EVENTS) socket.on(event, this.#onEvent);
  }

  /** All that has come, as soon as something has; null when nothing will come any more. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      if (this.#stopped) return null;
      const chunk: unknown = this.#socket.read();
      if (Buffer.isBuffer(chunk)) return chunk;
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }

  /** Ends a `next` under way, and all later ones, with null. */
  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** Leaves the socket to others: not flowing, with nothing of this reader on it. */
  release(): void {
    for (const event of EVENTS) this.#socket.removeListener(event, this.#onEvent);
  }
}

const EVENTS = ['readable', 'end', 'close'] as const;
