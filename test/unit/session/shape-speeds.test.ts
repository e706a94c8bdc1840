import { expect, test } from 'vitest';
import { type LeasedRun, ShapeSpeeds } from '../../../src/session/shape-speeds.ts';
import type { Facts } from '../../../src/sql/facts.ts';
import { facts } from '../routing/fixtures.ts';

/** A backend that answers in 0.2 ms at best. */
function known(): ShapeSpeeds {
  const speeds = new ShapeSpeeds();
  speeds.noteLeased(facts(), leased(0, 0.2, 100, 1));
  return speeds;
}

/** A run whose answer was handled as it came. */
function leased(backend: number, ms: number, bytes: number, underWay: number): LeasedRun {
  return { backend, ms, atLeastMs: ms, bytes, underWay };
}

const mayShare = (speeds: ShapeSpeeds, shape: Facts) => speeds.sharedCost(shape) !== null;

test('a shape may share after three quick runs in a row', () => {
  const [speeds, shape] = [known(), facts()];
  for (let run = 0; run < 2; run++) speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
  expect(mayShare(speeds, shape)).toBe(false);
  speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
  expect(mayShare(speeds, shape)).toBe(true);
});

test('what costs the backend more than a third of a millisecond at best may not, however far away the backend is', () => {
  const [speeds, dear, cheap] = [new ShapeSpeeds(), facts(), facts()];
  speeds.noteLeased(facts(), leased(1, 5, 100, 1));
  for (let run = 0; run < 10; run++) {
    speeds.noteLeased(dear, leased(1, 5.6, 100, 1));
    speeds.noteLeased(cheap, leased(1, run === 4 ? 5.1 : 8, 100, 1));
  }
  expect([mayShare(speeds, dear), mayShare(speeds, cheap)]).toEqual([false, true]);
});

test('one slow run takes the place away, three quick ones give it back', () => {
  const [speeds, shape] = [known(), facts()];
  for (let run = 0; run < 3; run++) speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
  // However slow: it may be the machine that stood still.
  speeds.noteShared(shape, 500, 100);
  expect(mayShare(speeds, shape)).toBe(false);
  for (let run = 0; run < 3; run++) speeds.noteLeased(shape, leased(0, 4, 100, 1));
  expect(mayShare(speeds, shape)).toBe(true);
  speeds.noteFailed(shape, 50);
  expect(mayShare(speeds, shape)).toBe(false);
});

test('a long reply, or being slow on average, takes it away for long', () => {
  const speeds = known();
  for (const spoil of ['long', 'slow'] as const) {
    const shape = facts();
    for (let run = 0; run < 3; run++) speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
    if (spoil === 'long') speeds.noteShared(shape, 0.1, 100_000);
    else for (let run = 0; run < 64; run++) speeds.noteShared(shape, 5, 100);
    for (let run = 0; run < 20; run++) speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
    expect(mayShare(speeds, shape)).toBe(false);
    for (let run = 0; run < 3; run++) speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
    expect(mayShare(speeds, shape)).toBe(true);
  }
});

test('only plain reads share', () => {
  const speeds = known();
  const others = [
    facts({ effect: 'write' }),
    facts({ callsVolatile: true }),
    facts({ residue: new Set(['settings'] as const) }),
    facts({ statements: [{ kind: 'query' }, { kind: 'query' }] }),
    facts({ sessionState: 'connection' }),
  ];
  for (const shape of others) for (let run = 0; run < 5; run++) speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
  expect(others.map((shape) => mayShare(speeds, shape))).toEqual(others.map(() => false));
});

test('runs that hold each other up are not held against their shape, as far as that can be', () => {
  const [speeds, crowded, slow] = [known(), facts(), facts()];
  for (let run = 0; run < 3; run++) {
    speeds.noteLeased(crowded, leased(0, 4, 100, 40));
    speeds.noteLeased(slow, leased(0, 50, 100, 40));
  }
  expect([mayShare(speeds, crowded), mayShare(speeds, slow)]).toEqual([true, false]);
});

test('runs that we were late to look at are not held against their shape', () => {
  const [speeds, shape] = [known(), facts()];
  for (let run = 0; run < 3; run++) {
    speeds.noteLeased(shape, { backend: 0, ms: 100, atLeastMs: 0.1, bytes: 100, underWay: 1 });
  }
  expect(mayShare(speeds, shape)).toBe(true);
});

test('a shape that is slow again and again stays out for longer each time, until it has proven itself', () => {
  const [speeds, shape] = [known(), facts()];
  const runsUntilShared = () => {
    for (let runs = 0; ; runs++) {
      if (mayShare(speeds, shape)) return runs;
      speeds.noteLeased(shape, leased(0, 0.3, 100, 1));
    }
  };
  const beSlow = () => {
    while (mayShare(speeds, shape)) speeds.noteShared(shape, 5, 100);
  };
  expect(runsUntilShared()).toBe(3);
  beSlow();
  expect(runsUntilShared()).toBe(23);
  beSlow();
  expect(runsUntilShared()).toBe(43);
  for (let run = 0; run < 1000; run++) speeds.noteShared(shape, 0.1, 100);
  beSlow();
  expect(runsUntilShared()).toBe(23);
});
