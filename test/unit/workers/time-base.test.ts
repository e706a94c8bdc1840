import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TimeBase } from '../../../src/workers/time-base.ts';
import { twoClocks } from '../../../src/workers/two-clocks.ts';
import { backend, view } from '../admin/fixtures.ts';

/** A process that was started at `originMs` of the machine's time, and whose readings take a while each. */
function baseOf(originMs: number, readingsMs: readonly number[]): TimeBase {
  let atMs = originMs + 1000;
  let reading = 0;
  const pass = () => {
    atMs += readingsMs[reading++ % readingsMs.length] ?? 0;
    return atMs;
  };
  return new TimeBase({ machine: pass, own: () => pass() - originMs });
}

const origin = fc.double({ min: 0, max: 1e9, noNaN: true });
const readings = fc.array(fc.double({ min: 0, max: 0.7, noNaN: true }), { minLength: 1, maxLength: 7 });
const moment = fc.double({ min: 0, max: 1e9, noNaN: true });

function seenBy(worker: TimeBase, supervisor: TimeBase, freshThroughMs: number, expiresAtMs = freshThroughMs): [number, number] {
  const seen = worker.viewFromOthers(supervisor.viewForOthers(view([backend(1, { freshThroughMs, expiresAtMs })])));
  return [seen.backends[0]?.freshThroughMs ?? Number.NaN, seen.backends[0]?.expiresAtMs ?? Number.NaN];
}

test('a probe is never taken for later than it was, however slowly the clocks were read', () => {
  fc.assert(
    fc.property(origin, readings, origin, readings, moment, (originA, readingsA, originB, readingsB, sentMs) => {
      const [supervisor, worker] = [baseOf(originA, readingsA), baseOf(originB, readingsB)];
      const [fresh] = seenBy(worker, supervisor, sentMs - originA);
      expect(fresh).toBeLessThan(sentMs - originB);
      // No earlier than by what the closest readings leave open.
      const open = 2 * Math.max(...readingsA) + 2 * Math.max(...readingsB) + 0.01;
      expect(fresh).toBeGreaterThan(sentMs - originB - open);
    }),
  );
});

test('a fence is never taken for earlier than it is', () => {
  fc.assert(
    fc.property(origin, readings, origin, readings, moment, (originA, readingsA, originB, readingsB, writtenMs) => {
      const [supervisor, worker] = [baseOf(originA, readingsA), baseOf(originB, readingsB)];
      expect(supervisor.fenceFromOthers(worker.fenceForOthers(writtenMs - originB))).toBeGreaterThan(writtenMs - originA);
    }),
  );
});

test('what is infinite stays so: the freshness of the primary, and what is unknown', () => {
  const [supervisor, worker] = [baseOf(10, [0.1]), baseOf(5_000, [0.1])];
  expect(seenBy(worker, supervisor, Number.POSITIVE_INFINITY)).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  expect(seenBy(worker, supervisor, Number.NEGATIVE_INFINITY)).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
});

test('of the real clocks less than a millisecond is left open', () => {
  const base = new TimeBase(twoClocks);
  const now = twoClocks.own();
  const [there] = seenBy(base, base, now);
  expect(there).toBeLessThan(now);
  expect(there).toBeGreaterThan(now - 1);
});
