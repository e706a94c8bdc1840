import type { Flushable, Turn } from './turn.ts';

/** Where gathered bytes go. */
export interface ByteSink {
  /** Writes one buffer; returns false when not all of it was taken at once (it is then still referenced). */
  write(bytes: Buffer): boolean;
  /** Writes several in one system call where the system can. */
  writeAll(pieces: readonly Buffer[]): boolean;
}

/** Pieces up to this many bytes in all are copied into one buffer: cheaper than a vector of small ones. Measured, ours. */
const COPY_LIMIT = 16 * 1024;

/**
 * What one socket is to be sent in this turn. Slices of one buffer that follow each other become one piece, so the replies
 * of a pipeline leave as the one slab they came in.
 */
export class Gather implements Flushable {
  readonly #turn: Turn;
  readonly #sink: ByteSink;
  #buffer: Buffer | null = null;
  #start = 0;
  #end = 0;
  #earlier: Buffer[] | null = null;
  #earlierBytes = 0;

  constructor(turn: Turn, sink: ByteSink) {
    this.#turn = turn;
    this.#sink = sink;
  }

  /** Adds `slice[start, end)`, borrowed until the turn ends. */
  add(slice: Buffer, start: number, end: number): void {
    const open = this.#buffer;
    if (open === null) this.#turn.gathered(this);
    else if (open === slice && this.#end === start) {
      this.#end = end;
      return;
    } else this.#setAside(open);
    this.#buffer = slice;
    this.#start = start;
    this.#end = end;
  }

  /** Bytes gathered and not yet written. */
  get bytes(): number {
    return this.#earlierBytes + (this.#end - this.#start);
  }

  flush(): boolean {
    const buffer = this.#buffer;
    if (buffer === null) return true;
    const earlier = this.#earlier;
    const last = this.#start === 0 && this.#end === buffer.length ? buffer : buffer.subarray(this.#start, this.#end);
    const bytes = this.bytes;
    this.drop();
    if (earlier === null) return this.#sink.write(last);
    earlier.push(last);
    return bytes <= COPY_LIMIT ? this.#sink.write(Buffer.concat(earlier, bytes)) : this.#sink.writeAll(earlier);
  }

  /** Forgets what was gathered: the socket is gone. */
  drop(): void {
    this.#buffer = null;
    this.#earlier = null;
    this.#earlierBytes = 0;
    this.#start = 0;
    this.#end = 0;
  }

  #setAside(open: Buffer): void {
    this.#earlier ??= [];
    this.#earlier.push(open.subarray(this.#start, this.#end));
    this.#earlierBytes += this.#end - this.#start;
  }
}
