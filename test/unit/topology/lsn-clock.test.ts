import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LsnClock, replayableLsn } from '../../../src/topology/lsn-clock.ts';
import { formatLsn, type Lsn, parseLsn } from '../../../src/util/lsn.ts';

const MIB = 1024 * 1024;
const GEOMETRY = { blockBytes: 8192, segmentBytes: 16 * MIB };

const lsn = (value: number): Lsn => value as Lsn;

function parsed(text: string): Lsn {
  const value = parseLsn(text);
  if (value === null) throw new Error(`not an LSN: ${text}`);
  return value;
}

describe('the position that a standby can reach', () => {
  it.each([
    ['in the middle of a page', '0/215A100', '0/215A100'],
    ['behind the header of a page', '0/215A018', '0/215A000'],
    ['behind the long header of a segment', '0/3000028', '0/3000000'],
    ['24 bytes into a segment, where no record can begin', '0/3000018', '0/3000018'],
    ['40 bytes into a page that begins no segment', '0/215A028', '0/215A028'],
    ['behind a header beyond 4 GiB', '16/B3740018', '16/B3740000'],
    ['behind the header of the first segment of a log', '2/28', '2/0'],
  ])('%s: %s is %s', (_, insert, reachable) => {
    expect(formatLsn(replayableLsn(parsed(insert), GEOMETRY))).toBe(reachable);
  });

  it('is the end of the last record, for any records in any geometry', () => {
    const geometries = fc.constantFrom(
      GEOMETRY,
      { blockBytes: 4096, segmentBytes: MIB },
      { blockBytes: 32768, segmentBytes: 64 * MIB },
    );
    fc.assert(
      fc.property(geometries, fc.nat({ max: 2 ** 40 }), fc.nat({ max: 3 }), (geometry, units, pages) => {
        // Often right at the end of a page, which is what this is about.
        const usable = pages === 0 ? units * 8 : lastByteOfPage(units % 100_000, geometry);
        expect(replayableLsn(insertPosition(usable, geometry), geometry)).toBe(endPosition(usable, geometry));
      }),
      { numRuns: 2000 },
    );
  });
});

/** As XLogBytePosToRecPtr in xlog.c: where the next record would begin, headers skipped. */
function insertPosition(usable: number, geometry: typeof GEOMETRY): Lsn {
  return positionOf(usable, geometry, false);
}

/** As XLogBytePosToEndRecPtr: at a page boundary the start of the page, since the header is not yet written. */
function endPosition(usable: number, geometry: typeof GEOMETRY): Lsn {
  return positionOf(usable, geometry, true);
}

function positionOf(usable: number, { blockBytes, segmentBytes }: typeof GEOMETRY, isEnd: boolean): Lsn {
  const perPage = blockBytes - 24;
  const perSegment = (segmentBytes / blockBytes) * perPage - 16;
  const segments = Math.floor(usable / perSegment);
  const rest = usable % perSegment;
  const start = segments * segmentBytes;
  if (rest < blockBytes - 40) return lsn(start + (isEnd && rest === 0 ? 0 : 40 + rest));
  const later = rest - (blockBytes - 40);
  const inPage = later % perPage;
  return lsn(start + blockBytes + Math.floor(later / perPage) * blockBytes + (isEnd && inPage === 0 ? 0 : 24 + inPage));
}

function lastByteOfPage(page: number, { blockBytes, segmentBytes }: typeof GEOMETRY): number {
  const perPage = blockBytes - 24;
  const pagesPerSegment = segmentBytes / blockBytes;
  const perSegment = pagesPerSegment * perPage - 16;
  return Math.floor(page / pagesPerSegment) * perSegment + blockBytes - 40 + (page % pagesPerSegment) * perPage;
}

describe('fresh-through', () => {
  it('is unknown without samples, and for a node behind the first one', () => {
    const clock = new LsnClock();
    expect(clock.freshThrough(lsn(100))).toBe(-Infinity);
    expect(clock.newestMs).toBe(-Infinity);
    expect(clock.lsnAt(0)).toBeNull();
    clock.add(5, lsn(200));
    expect(clock.freshThrough(lsn(199))).toBe(-Infinity);
    expect(clock.freshThrough(lsn(200))).toBe(5);
  });

  it('is the latest sample that was reached, and what is missing begins with the next one', () => {
    const clock = new LsnClock();
    for (const [at, position] of [
      [1, 100],
      [2, 110],
      [3, 120],
    ] as const)
      clock.add(at, lsn(position));
    expect([99, 100, 109, 110, 119, 120, 999].map((replay) => clock.freshThrough(lsn(replay)))).toEqual([
      -Infinity,
      1,
      1,
      2,
      2,
      3,
      3,
    ]);
    expect([99, 100, 110, 120].map((replay) => clock.missingSince(lsn(replay)))).toEqual([1, 2, 3, Infinity]);
    expect([0, 1, 1.5, 3, 9].map((at) => clock.lsnAt(at))).toEqual([null, 100, 100, 120, 120]);
  });

  it('moves on with an idle primary, which costs no memory', () => {
    const clock = new LsnClock();
    for (let at = 0; at < 10_000; at++) clock.add(at, lsn(700));
    expect(clock.size).toBe(1);
    expect(clock.freshThrough(lsn(700))).toBe(9999);
  });

  it('forgets positions that a crash of the primary has undone', () => {
    const clock = new LsnClock();
    clock.add(1, lsn(100));
    clock.add(2, lsn(200));
    clock.add(3, lsn(150));
    expect(clock.freshThrough(lsn(150))).toBe(3);
    expect(clock.freshThrough(lsn(149))).toBe(1);
  });

  it('ignores a sample that was sent before the newest', () => {
    const clock = new LsnClock();
    clock.add(2, lsn(200));
    clock.add(1, lsn(100));
    expect(clock.freshThrough(lsn(199))).toBe(-Infinity);
  });

  it('keeps the lag of a replica that is an hour, a day and two weeks behind, 4 % too much at most, in bounded memory', () => {
    const clock = new LsnClock();
    const intervalMs = 100;
    const dayMs = 86_400_000;
    // The WAL position is the time itself; the first days coarse, which the clock cannot know.
    for (let at = 0; at < 14 * dayMs; at += 10_000) clock.add(at, lsn(at));
    const now = 15 * dayMs;
    for (let at = 14 * dayMs; at <= now; at += intervalMs) clock.add(at, lsn(at));
    expect(clock.size).toBeLessThanOrEqual(1024);
    for (const lag of [0, 100, 1000, 60_000, 3_600_000, dayMs, 14 * dayMs]) {
      const measured = now - clock.freshThrough(lsn(now - lag));
      expect(measured).toBeGreaterThanOrEqual(lag);
      expect(measured).toBeLessThanOrEqual(lag * 1.04 + intervalMs);
    }
  });

  it('claims never more than the truth, however writes, probes and replay fall', () => {
    const steps = fc.array(
      fc.record({
        afterMs: fc.double({ min: 0.001, max: 500, noNaN: true }),
        kind: fc.constantFrom('write', 'write', 'sample', 'replay', 'crash' as const),
        bytes: fc.integer({ min: 1, max: 20_000 }),
        /** How much of a sample's way lies behind the reading of the position. */
        latencyMs: fc.double({ min: 0, max: 50, noNaN: true }),
        part: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      { minLength: 1, maxLength: 300 },
    );
    fc.assert(
      fc.property(steps, (script) => {
        const clock = new LsnClock();
        const writes: { at: number; end: number }[] = [{ at: 0, end: 1000 }];
        const pending: { sentAt: number; readAt: number }[] = [];
        let now = 1;
        let replayed = 1000;
        const insertedAt = (at: number) => writes.findLast((write) => write.at <= at)?.end ?? 0;
        for (const { afterMs, kind, bytes, latencyMs, part } of script) {
          now += afterMs;
          const last = writes.at(-1)?.end ?? 0;
          if (kind === 'write') writes.push({ at: now, end: last + bytes });
          // One probe at a time: it is read a latency after it was sent, while writes go on.
          if (kind === 'sample') pending.push({ sentAt: now, readAt: now + latencyMs });
          if (kind === 'replay') replayed = Math.round(replayed + (last - replayed) * part);
          // What a primary loses in a crash was never sent to a standby.
          if (kind === 'crash') writes.push({ at: now, end: Math.max(replayed, last - bytes) });
          while (pending[0] !== undefined && pending[0].readAt <= now) {
            const { sentAt, readAt } = pending.shift() ?? { sentAt: 0, readAt: 0 };
            clock.add(sentAt, lsn(insertedAt(readAt)));
          }
          const freshThrough = clock.freshThrough(lsn(replayed));
          if (freshThrough === -Infinity) continue;
          const lost = (at: number) => writes.filter((write) => write.at > at).map(({ end }) => end);
          // Everything inserted before that instant, except what a later crash undid, was replayed.
          expect(Math.min(insertedAt(freshThrough), ...lost(freshThrough))).toBeLessThanOrEqual(replayed);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('lag in the states in which other formulas are wrong', () => {
  /**
   * A primary that writes at the given times (s), sampled every 50 ms and read 1 ms later, and a standby that replays
   * at once except in the given span, in which it stands still (paused, or cut off).
   */
  function lagAt(seconds: number, writesAt: (second: number) => boolean, stopped: [from: number, to: number] | null): number {
    const clock = new LsnClock();
    let position = 1000;
    let replayed = 1000;
    for (let ms = 0; ms <= seconds * 1000; ms++) {
      const second = ms / 1000;
      if (ms % 10 === 0 && writesAt(second)) position += 100;
      if (stopped === null || second < stopped[0] || second >= stopped[1]) replayed = position;
      if (ms % 50 === 1) clock.add(ms - 1, lsn(position));
    }
    return seconds - clock.freshThrough(lsn(replayed)) / 1000;
  }

  const never = () => false;
  const always = () => true;
  it.each([
    ['an idle primary, caught up', 0, lagAt(8, never, null)],
    ['the first write after idle, paused for 0.3 s', 0.3, lagAt(8.3, (s) => s >= 8, [8, 99])],
    ['paused, 3 s after the write', 3, lagAt(11, (s) => s >= 8 && s < 8.01, [8, 99])],
    ['steady writes, healthy', 0, lagAt(8, always, null)],
    ['cut off for 4 s, the primary writing', 4, lagAt(12, always, [8, 99])],
    ['cut off for 8 s', 8, lagAt(16, always, [8, 99])],
    ['cut off for 12 s, the primary idle in the last 4', 12, lagAt(20, (s) => s < 16, [8, 99])],
    ['connected again', 0, lagAt(22, (s) => s < 16, [8, 21])],
  ])('%s: %d s', (_, truth, measured) => {
    expect(measured).toBeGreaterThanOrEqual(truth - 0.001);
    expect(measured).toBeLessThanOrEqual(truth + 0.11);
  });
});
