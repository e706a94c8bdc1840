import { assert } from '../util/assert.ts';
import type { Lsn } from '../util/lsn.ts';

/*
 * The LSN clock: one measure for lag, freshness and read-your-writes.
 *
 * The monitor asks the primary for its insert position. Whatever was committed and acknowledged before the request was
 * sent, at local time s, lies below the answer, so a replica that has replayed up to the answer contains all of it:
 *
 *     freshThrough(replay) = the latest s among the samples with lsn(s) <= replay
 *
 * Only the time of sending counts, never the time of the answer, and only one clock is involved: ours.
 *
 * A sample says nothing that a later one with the same or a lower position does not say better, so both columns are
 * kept strictly ascending and an idle primary adds no samples. A lower position than before happens when the primary
 * crashed and lost WAL that it had not flushed; what was sampled beyond it names positions that no longer exist.
 *
 * Memory is bounded by thinning: two samples may lie apart by 1/32 of their age, so a replica that lags an hour still
 * gets its lag, overstated by 3 % at most. Leaving samples out only ever makes freshThrough earlier, which is safe.
 *
 * A primary sends only what it has flushed, and leaves the WAL of an open transaction (or of a read that pruned a page)
 * unflushed until something else flushes it: up to 15 s, when the background writer logs a snapshot. For so long no
 * replica reaches the insert position, though it lacks nothing that was committed. A second clock, of flush positions,
 * tells that from lag: a synchronous commit is flushed before it is acknowledged, an asynchronous one within three rounds
 * of the WAL writer, so a replica that has replayed the flush position seen at s has what was committed before
 *
 *     s - 3 * wal_writer_delay
 *
 * as a rule. A round lasts as long as its fsync takes and begins when the scheduler lets it, so this is no proof
 * (XLogBackgroundFlush; a WAL writer that stalls breaks it). Lag and health, which are estimates for people and for the
 * share of work, may rest on it; a fence never does. Two limits: such a lag is shown as three delays at least, and when the
 * WAL was flushed up to a page boundary in the middle of a record, no replay ends there and the first rule alone holds.
 *
 * A flush position needs no rounding: it is the end of a record as XLogBytePosToEndRecPtr has it, or the start of a page.
 */

/** Enough for two weeks at the resolution below, and twice what thinning leaves of one day. */
const MAX_SAMPLES = 1024;

/** How far neighbouring samples may lie apart, as a part of their age. */
const RESOLUTION = 1 / 32;

/** XLOG_BLCKSZ and wal_segment_size of a server, in bytes. */
export interface WalGeometry {
  readonly blockBytes: number;
  readonly segmentBytes: number;
}

/** SizeOfXLogShortPHD: at the start of each page. Source: src/include/access/xlog_internal.h, MAXALIGNed on 64 bits. */
const PAGE_HEADER_BYTES = 24;
/** SizeOfXLogLongPHD: at the start of each segment, instead of the short one. */
const SEGMENT_HEADER_BYTES = 40;

/**
 * The position that a standby reaches when it has replayed everything below `insert`. At a page boundary
 * `pg_current_wal_insert_lsn()` already points behind the header of the next page (XLogBytePosToRecPtr), while replay
 * ends at the start of that page (XLogBytePosToEndRecPtr) until the next record is there.
 */
export function replayableLsn(insert: Lsn, { blockBytes, segmentBytes }: WalGeometry): Lsn {
  const inSegment = insert % segmentBytes;
  const header = inSegment < blockBytes ? SEGMENT_HEADER_BYTES : PAGE_HEADER_BYTES;
  return inSegment % blockBytes === header ? ((insert - header) as Lsn) : insert;
}

/** The samples of one primary on one timeline. Times are of the local monotonic clock, in milliseconds. */
export class LsnClock {
  readonly #sentAtMs = new Float64Array(MAX_SAMPLES);
  readonly #lsns = new Float64Array(MAX_SAMPLES);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  /** When the newest sample was sent; -Infinity without one. */
  get newestMs(): number {
    return this.#sentAtMs[this.#count - 1] ?? -Infinity;
  }

  /**
   * @param sentAtMs when the request was sent; a sample sent before the newest one is ignored.
   * @param lsn what the primary answered, after {@link replayableLsn}.
   */
  add(sentAtMs: number, lsn: Lsn): void {
    assert(Number.isFinite(sentAtMs), 'a sample has a time');
    if (sentAtMs < this.newestMs) return;
    while (this.#count > 0 && (this.#lsns[this.#count - 1] ?? 0) >= lsn) this.#count--;
    if (this.#count === MAX_SAMPLES) this.#thin(sentAtMs);
    this.#sentAtMs[this.#count] = sentAtMs;
    this.#lsns[this.#count] = lsn;
    this.#count++;
  }

  /** The latest instant whose state a node contains that has replayed up to `replay`; -Infinity when none is known. */
  freshThrough(replay: Lsn): number {
    const index = countUpTo(this.#lsns, this.#count, replay) - 1;
    return this.#sentAtMs[index] ?? -Infinity;
  }

  /** When the oldest sample was sent that a node lacks which has replayed up to `replay`; Infinity when it lacks none. */
  missingSince(replay: Lsn): number {
    const index = countUpTo(this.#lsns, this.#count, replay);
    return index < this.#count ? (this.#sentAtMs[index] ?? Infinity) : Infinity;
  }

  /** The primary's position as it was sampled at or before an instant; null when no sample is as old. */
  lsnAt(atMs: number): Lsn | null {
    const lsn = this.#lsns[countUpTo(this.#sentAtMs, this.#count, atMs) - 1];
    return lsn === undefined ? null : (lsn as Lsn);
  }

  /** Leaves out each sample whose neighbours lie close enough together for their age; the oldest always stays. */
  #thin(nowMs: number): void {
    let kept = 1;
    for (let index = 1; index < this.#count; index++) {
      const at = this.#sentAtMs[index] ?? 0;
      const before = this.#sentAtMs[kept - 1] ?? 0;
      const after = this.#sentAtMs[index + 1] ?? Infinity;
      if (after - before > (nowMs - at) * RESOLUTION) this.#move(index, kept++);
    }
    if (kept === MAX_SAMPLES) {
      // Only a clock of many years gets here: halve it.
      kept = 0;
      for (let index = 0; index < MAX_SAMPLES; index += 2) this.#move(index, kept++);
    }
    this.#count = kept;
  }

  #move(from: number, to: number): void {
    this.#sentAtMs[to] = this.#sentAtMs[from] ?? 0;
    this.#lsns[to] = this.#lsns[from] ?? 0;
  }
}

/** How many of the first `count` ascending values are not above `bound`. */
function countUpTo(values: Float64Array, count: number, bound: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? Infinity) <= bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
