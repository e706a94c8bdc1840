import { describe, expect, it } from 'vitest';
import { chooseReplica, type Loads } from '../../../src/routing/balance.ts';
import type { Reads } from '../../../src/routing/context.ts';
import { whyNoneEligible } from '../../../src/routing/eligibility.ts';
import { explainReplicas } from '../../../src/routing/explain.ts';
import { moveFenceMs, stayFenceMs, strictestStaleness } from '../../../src/routing/fence.ts';
import type { BackendView, View } from '../../../src/topology/view.ts';
import { context, EVENTUAL, facts, PRIMARY, replica, SESSION, viewOf } from './fixtures.ts';

const idle: Loads = { load: () => 0 };

/** Numbers in [0, 1), the same in each run. Source: mulberry32 by Tommy Ettinger, public domain. */
function seeded(): () => number {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function chosen(view: View, reads: Partial<Reads> = {}, policy = SESSION, loads = idle): number {
  return chooseReplica(view, context(reads), policy, loads, () => 0.5);
}

describe('the fence', () => {
  const reads = context({ nowMs: 100, lastPrimaryMs: 40, lastReplicaMs: 60, maxStalenessMs: null });
  it.each([
    ['own writes hold a session to what it knows', reads, SESSION, 40, 60],
    ['staleness may be the stricter bound', { ...reads, maxStalenessMs: 30 }, SESSION, 70, 70],
    ['staleness may be between the two', { ...reads, maxStalenessMs: 50 }, SESSION, 50, 60],
    ['eventual consistency has none', reads, EVENTUAL, -Infinity, -Infinity],
    ['eventual consistency with a bound', { ...reads, maxStalenessMs: 30 }, EVENTUAL, 70, 70],
    ['staleness zero is now', { ...reads, maxStalenessMs: 0 }, EVENTUAL, 100, 100],
    ['a new session has none', context({ nowMs: 100 }), SESSION, -Infinity, -Infinity],
  ] as const)('%s', (_, needs, policy, stay, move) => {
    expect([stayFenceMs(needs, policy), moveFenceMs(needs, policy)]).toEqual([stay, move]);
  });

  it('takes the strictest of all bounds on staleness', () => {
    const bound = (ms: number) => facts({ hint: { maxStalenessMs: ms } });
    expect(strictestStaleness([facts()], null)).toBeNull();
    expect(strictestStaleness([facts()], 7)).toBe(7);
    expect(strictestStaleness([bound(5), bound(3), facts()], null)).toBe(3);
    expect(strictestStaleness([bound(5)], 4)).toBe(4);
    expect(strictestStaleness([bound(0)], 4)).toBe(0);
  });
});

describe('a replica is eligible', () => {
  const fresh = (more: Partial<BackendView>) => viewOf(PRIMARY, replica(1, { freshThroughMs: 50, ...more }));
  it.each([
    ['when nothing is asked for', {}, {}, 1],
    ['when it contains the last write', {}, { lastPrimaryMs: 50 }, 1],
    ['not when it does not', {}, { lastPrimaryMs: 50.001 }, -1],
    ['not when its freshness is unknown', { freshThroughMs: -Infinity, problem: 'lag unknown' }, {}, -1],
    ['not when it has a problem', { problem: 'lag over max_lag' }, {}, -1],
    ['not when nobody looked at it for too long', { expiresAtMs: 100 }, { nowMs: 100 }, -1],
    ['until then', { expiresAtMs: 100 }, { nowMs: 99.9 }, 1],
    ['not when it is none', { role: 'unknown' }, {}, -1],
    ['not when it failed this read already', {}, { failedOn: [1] }, -1],
    ['not when the last read elsewhere may have shown more', {}, { lastReplica: 2, lastReplicaMs: 60 }, -1],
    ['when that read was its own', {}, { lastReplica: 1, lastReplicaIncarnation: 0, lastReplicaMs: 60 }, 1],
    ['not when it came back since', { incarnation: 1 }, { lastReplica: 1, lastReplicaIncarnation: 0, lastReplicaMs: 60 }, -1],
    ['when it came back and caught up', { incarnation: 1 }, { lastReplica: 1, lastReplicaIncarnation: 0, lastReplicaMs: 50 }, 1],
    [
      'not by its own last read when a write came after',
      {},
      { lastReplica: 1, lastReplicaIncarnation: 0, lastPrimaryMs: 55 },
      -1,
    ],
  ] as const)('%s', (_, more, reads, expected) => {
    expect(chosen(fresh(more), reads)).toBe(expected);
  });

  it('and otherwise it is said why not', () => {
    const reads = context({ nowMs: 100, lastPrimaryMs: 80, failedOn: [4] });
    const view = viewOf(
      PRIMARY,
      replica(1, { freshThroughMs: 90 }),
      replica(2, { freshThroughMs: 50.5 }),
      replica(3, { problem: 'lag over max_lag' }),
      replica(4, { freshThroughMs: 90 }),
      replica(5, { freshThroughMs: 90, expiresAtMs: 100 }),
    );
    expect(explainReplicas(view, reads, SESSION)).toEqual([
      { name: 'pg-0', eligible: false, why: 'the primary' },
      { name: 'pg-1', eligible: true, why: 'fresh enough' },
      { name: 'pg-2', eligible: false, why: 'not known to contain the last 30 ms that it must' },
      { name: 'pg-3', eligible: false, why: 'lag over max_lag' },
      { name: 'pg-4', eligible: false, why: 'failed this read already' },
      { name: 'pg-5', eligible: false, why: 'observation expired' },
    ]);
  });

  it.each([
    ['only one backend', viewOf(PRIMARY), {}, 'no replica configured'],
    ['none usable', viewOf(PRIMARY, replica(1, { problem: 'unreachable' })), {}, 'no eligible replica'],
    ['all usable ones failed it', viewOf(PRIMARY, replica(1)), { failedOn: [1] }, 'no eligible replica'],
    [
      'only the fence is in the way',
      viewOf(PRIMARY, replica(1), replica(2, { problem: 'unreachable' })),
      { lastPrimaryMs: 1 },
      'fence not reached',
    ],
  ] as const)('or none is: %s', (_, view, reads, reason) => {
    expect(whyNoneEligible(view, context(reads))).toBe(reason);
  });
});

describe('among the eligible', () => {
  it('the one with the least work for its share is chosen', () => {
    const loads = [0, 4, 3, 10];
    const view = viewOf(PRIMARY, replica(1, { weight: 2 }), replica(2), replica(3, { weight: 10, warmth: 0.1 }));
    expect(chosen(view, {}, SESSION, { load: (index) => loads[index] ?? 0 })).toBe(1);
    loads[1] = 7;
    expect(chosen(view, {}, SESSION, { load: (index) => loads[index] ?? 0 })).toBe(2);
  });

  it('idle ones get reads in proportion to their shares', () => {
    const view = viewOf(
      PRIMARY,
      replica(1),
      replica(2, { weight: 3 }),
      replica(3, { weight: 4, warmth: 0.25 }),
      replica(4, { problem: 'unreachable' }),
    );
    const counts = [0, 0, 0, 0, 0];
    const random = seeded();
    for (let i = 0; i < 10_000; i++) {
      const index = chooseReplica(view, context(), SESSION, idle, random);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    expect(counts[0]).toBe(0);
    expect(counts[4]).toBe(0);
    for (const [index, share] of [
      [1, 0.2],
      [2, 0.6],
      [3, 0.2],
    ] as const) {
      expect((counts[index] ?? 0) / 10_000).toBeGreaterThan(share - 0.03);
      expect((counts[index] ?? 0) / 10_000).toBeLessThan(share + 0.03);
    }
  });

  it('work spreads evenly when it is counted, whatever chance says', () => {
    const loads = [0, 0, 0, 0];
    const view = viewOf(PRIMARY, replica(1), replica(2), replica(3));
    for (let i = 0; i < 300; i++) {
      const index = chooseReplica(view, context(), SESSION, { load: (at) => loads[at] ?? 0 }, () => 0);
      loads[index] = (loads[index] ?? 0) + 1;
    }
    expect(loads).toEqual([0, 100, 100, 100]);
  });

  it('a session that just read stays with its replica, even when another has less to do', () => {
    const view = viewOf(PRIMARY, replica(1, { freshThroughMs: 50 }), replica(2, { freshThroughMs: 55 }));
    const reads = { nowMs: 61, lastReplica: 1, lastReplicaIncarnation: 0, lastReplicaMs: 60 };
    const busy = { load: (index: number) => (index === 1 ? 10 : 0) };
    expect(chosen(view, reads, SESSION, busy)).toBe(1);
    expect(chosen(view, { ...reads, lastReplicaMs: 55 }, SESSION, busy)).toBe(2);
    expect(chosen(view, reads, EVENTUAL, busy)).toBe(2);
  });
});
