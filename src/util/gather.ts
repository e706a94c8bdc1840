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

/** Where they are copied; another once the kernel has not taken it whole. */
let scratch = Buffer.allocUnsafeSlow(COPY_LIMIT);

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
  #earlier: Slice[] | null = null;
  #earlierBytes = 0;
  /** The socket has kept what it was given, as one with TLS does: it gets buffers of its own. */
  #keeps = false;

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
    const start = this.#start;
    const end = this.#end;
    const earlier = this.#earlier;
    const bytes = this.bytes;
    this.drop();
    if (earlier === null) return this.#sink.write(cut(buffer, start, end));
    if (bytes <= COPY_LIMIT) return this.#writeCopied(earlier, bytes, buffer, start, end);
    const pieces = earlier.map((slice) => cut(slice.buffer, slice.start, slice.end));
    pieces.push(cut(buffer, start, end));
    return this.#sink.writeAll(pieces);
  }

  /** Forgets what was gathered: the socket is gone. */
  drop(): void {
    this.#buffer = null;
    this.#earlier = null;
    this.#earlierBytes = 0;
    this.#start = 0;
    this.#end = 0;
  }

  #writeCopied(earlier: readonly Slice[], bytes: number, last: Buffer, start: number, end: number): boolean {
    const copy = this.#keeps ? Buffer.allocUnsafe(bytes) : scratch;
    let at = 0;
    for (const slice of earlier) at += slice.buffer.copy(copy, at, slice.start, slice.end);
    last.copy(copy, at, start, end);
    const taken = this.#sink.write(cut(copy, 0, bytes));
    if (!taken && !this.#keeps) {
      this.#keeps = true;
      scratch = Buffer.allocUnsafeSlow(COPY_LIMIT);
    }
    return taken;
  }

  #setAside(open: Buffer): void {
    this.#earlier ??= [];
    this.#earlier.push({ buffer: open, start: this.#start, end: this.#end });
    this.#earlierBytes += this.#end - this.#start;
  }
}

interface Slice {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

function cut(buffer: Buffer, start: number, end: number): Buffer {
  return start === 0 && end === buffer.length ? buffer : buffer.subarray(start, end);
}
