import type { ByteSink } from './gather.ts';
import type { Flushable, Turn } from './turn.ts';

/** What is gathered at most before it is written; a longer piece goes by itself. Ours: some hundred small queries. */
const BUFFER_BYTES = 32 * 1024;

/**
 * What one socket is sent in a round of the event loop, by however many turns: small pieces of many clients, copied as they
 * come, leave in one write. Fewer system calls on both sides of the socket is what shared connections are for.
 */
export class LateGather implements Flushable {
  readonly #turn: Turn;
  readonly #sink: ByteSink;
  #buffer: Buffer | null = null;
  #used = 0;

  constructor(turn: Turn, sink: ByteSink) {
    this.#turn = turn;
    this.#sink = sink;
  }

  /** Adds a copy of `slice[start, end)`. */
  add(slice: Buffer, start: number, end: number): void {
    const size = end - start;
    if (this.#used + size > BUFFER_BYTES) {
      this.flush();
      if (size > BUFFER_BYTES) {
        this.#sink.write(Buffer.from(slice.subarray(start, end)));
        return;
      }
    }
    this.#buffer ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
    if (this.#used === 0) this.#turn.later(this);
    slice.copy(this.#buffer, this.#used, start, end);
    this.#used += size;
  }

  flush(): boolean {
    const buffer = this.#buffer;
    if (buffer === null || this.#used === 0) return true;
    const bytes = buffer.subarray(0, this.#used);
    this.#used = 0;
    const taken = this.#sink.write(bytes);
    // Until the kernel takes it, it belongs to the socket.
    if (!taken) this.#buffer = null;
    return taken;
  }

  /** Forgets what was gathered: the socket is gone. */
  drop(): void {
    this.#used = 0;
    this.#buffer = null;
  }
}
