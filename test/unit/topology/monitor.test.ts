import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { View } from '../../../src/topology/view.ts';
import { Simulation } from './simulation.ts';

/** A started simulation, all probes answered. */
function started(count = 3, settings = {}): Simulation {
  const simulation = new Simulation(count, settings);
  void simulation.monitor.start();
  simulation.clock.advance(5);
  return simulation;
}

function probesWithin(simulation: Simulation, index: number, durationMs: number): number {
  const { probes } = simulation.node(index);
  const before = probes.length;
  simulation.clock.advance(durationMs);
  return probes.length - before;
}

describe('starting', () => {
  it('resolves with a view for which every backend was asked', async () => {
    const simulation = new Simulation(3);
    simulation.node(2).state = 'down';
    let view: View | null = null;
    const asked = simulation.monitor.start().then((first) => {
      view = first;
    });
    simulation.clock.advance(5);
    await asked;
    expect(view).toMatchObject({ primary: 0, backends: [{ role: 'primary' }, { problem: null }, { problem: 'unreachable' }] });
  });

  it('a node that hangs delays nobody', () => {
    const simulation = new Simulation(3);
    simulation.node(1).state = 'hung';
    void simulation.monitor.start();
    simulation.clock.advance(1);
    expect(simulation.monitor.current()).toMatchObject({
      primary: 0,
      backends: [{}, { problem: 'not probed yet' }, { problem: null }],
    });
    simulation.clock.advance(1100);
    expect(simulation.monitor.current().backends[1]).toMatchObject({ problem: 'unreachable' });
    expect(simulation.node(2).probes.length).toBeGreaterThan(10);
  });

  it('leaves no timer and no waiter behind when it is stopped', () => {
    const simulation = started();
    const outcomes: boolean[] = [];
    simulation.monitor.waitForFence(simulation.clock.now() + 500, simulation.clock.now() + 1000, (reached) =>
      outcomes.push(reached),
    );
    simulation.monitor.suspect(1, 'test');
    simulation.monitor.stop();
    expect(outcomes).toEqual([false]);
    simulation.clock.advance(1);
    expect(simulation.clock.timers).toBe(0);
    expect(simulation.monitor.waitForFence(0, 1e9, () => undefined)).toBeNull();
  });
});

describe('the interval', () => {
  it('is the quick one while there is traffic, and the idle one soon after', () => {
    const simulation = started();
    for (let turn = 0; turn < 20; turn++) {
      simulation.monitor.noteTraffic();
      expect(probesWithin(simulation, 0, 100)).toBe(1);
    }
    simulation.clock.advance(1200);
    expect(probesWithin(simulation, 0, 5000)).toBe(5);
  });

  it('is the quick one at once when traffic begins', () => {
    const simulation = started();
    simulation.clock.advance(3500);
    const before = simulation.node(1).probes.length;
    simulation.monitor.noteTraffic();
    expect(simulation.node(1).probes.length).toBe(before + 1);
    expect(probesWithin(simulation, 1, 500)).toBe(5);
  });

  it('is the quick one without a primary', () => {
    const simulation = started();
    simulation.crash(0);
    simulation.clock.advance(5000);
    expect(probesWithin(simulation, 1, 1000)).toBe(10);
  });

  it('stays below half of max_lag, so that a gap between samples is not taken for lag', () => {
    const simulation = started(3, { maxLagMs: 300 });
    simulation.clock.advance(5000);
    expect(probesWithin(simulation, 0, 1500)).toBe(10);
    for (let round = 0; round < 50; round++) {
      simulation.node(0).position += 100;
      simulation.clock.advance(75);
      expect(simulation.monitor.current().backends[1]?.problem).toBeNull();
      simulation.node(1).position = simulation.node(0).position;
      simulation.clock.advance(75);
    }
  });

  it('is followed by a second look at a replica that had not yet replayed the newest sample', () => {
    const simulation = started();
    simulation.node(0).position += 100;
    const now = simulation.clock.now();
    // Replayed a millisecond too late for the round that samples it.
    const roundAt = (simulation.node(0).probes.at(-1) ?? 0) + 100;
    simulation.clock.advance(roundAt + 1 - now);
    simulation.node(1).position += 100;
    simulation.clock.advance(3);
    expect(simulation.monitor.current().backends[1]).toMatchObject({ freshThroughMs: roundAt });
    expect(simulation.monitor.current().backends[2]?.freshThroughMs).toBeLessThan(roundAt);
    expect(simulation.node(1).probes.at(-1)).toBeGreaterThan(roundAt);
  });
});

describe('a fence', () => {
  it('is reached within a few milliseconds, by one round for all who wait', () => {
    const simulation = started();
    simulation.clock.advance(30);
    simulation.node(0).position += 100;
    const fence = simulation.clock.now();
    const outcomes: boolean[] = [];
    for (let waiter = 0; waiter < 1000; waiter++) {
      expect(simulation.monitor.waitForFence(fence, fence + 10, (reached) => outcomes.push(reached))).not.toBeNull();
    }
    simulation.clock.after(0.5, () => {
      simulation.node(2).position += 100;
    });
    const before = simulation.nodes.map(({ probes }) => probes.length);
    simulation.clock.advance(2);
    expect(outcomes).toEqual([]);
    simulation.clock.advance(1);
    expect(outcomes).toEqual(Array(1000).fill(true));
    expect(simulation.monitor.current().backends.map(({ freshThroughMs }) => freshThroughMs >= fence)).toEqual([
      true,
      false,
      true,
    ]);
    // The round that the first waiter started counts from before.
    expect(simulation.nodes.map(({ probes }, index) => probes.length - (before[index] ?? 0))).toEqual([0, 1, 1]);
  });

  it('needs a sample that was sent after it: one on its way is not enough', () => {
    const simulation = started();
    simulation.node(0).latencyMs = [20, 20];
    simulation.monitor.noteTraffic();
    const last = simulation.node(0).probes.at(-1) ?? 0;
    simulation.clock.advance(last + 110 - simulation.clock.now());
    const fence = simulation.clock.now();
    let reachedAt = 0;
    simulation.monitor.waitForFence(fence, fence + 200, () => {
      reachedAt = simulation.clock.now();
    });
    simulation.clock.advance(200);
    const sample = simulation.node(0).probes.find((at) => at >= fence) ?? Infinity;
    expect(sample).toBeGreaterThan(fence);
    expect(reachedAt).toBeGreaterThanOrEqual(sample + 40);
  });

  it('that is not reached in time is given up at the deadline', () => {
    const simulation = started();
    simulation.node(0).position += 100;
    const fence = simulation.clock.now();
    const outcomes: [boolean, number][] = [];
    for (const waitMs of [10, 30]) {
      simulation.monitor.waitForFence(fence, fence + waitMs, (reached) =>
        outcomes.push([reached, simulation.clock.now() - fence]),
      );
    }
    simulation.clock.advance(60);
    expect(outcomes.map(([reached]) => reached)).toEqual([false, false]);
    expect(outcomes[0]?.[1]).toBeLessThan(13);
    expect(outcomes[1]?.[1]).toBeLessThan(33);
    // Nobody waits any more: the quick rounds are over.
    expect(probesWithin(simulation, 1, 50)).toBeLessThanOrEqual(2);
  });

  it('is not told to those who gave up', () => {
    const simulation = started();
    const fence = simulation.clock.now();
    const wait = simulation.monitor.waitForFence(fence, fence + 10, () => expect.unreachable());
    wait?.cancel();
    simulation.clock.advance(50);
  });

  it('may be followed by another from within the callback', () => {
    const simulation = started();
    const order: string[] = [];
    const first = simulation.clock.now();
    simulation.monitor.waitForFence(first, first + 10, () => {
      order.push('first');
      const second = simulation.clock.now();
      simulation.monitor.waitForFence(second, second + 10, (reached) => order.push(`second ${reached}`));
    });
    simulation.clock.advance(10);
    expect(order).toEqual(['first', 'second true']);
  });

  it('once replayed is told to all who wait within a few round trips, whatever came in between', () => {
    const node = fc.nat({ max: 2 });
    const step = fc.oneof(
      fc.record({ what: fc.constant('write' as const) }),
      fc.record({ what: fc.constant('replay' as const), node }),
      fc.record({ what: fc.constant('wait' as const), agoMs: fc.nat({ max: 5 }) }),
      fc.record({ what: fc.constant('give up' as const), waiter: fc.nat({ max: 10 }) }),
      fc.record({ what: fc.constant('latency' as const), node, there: fc.nat({ max: 30 }), back: fc.nat({ max: 30 }) }),
      fc.record({ what: fc.constant('pass' as const), tenths: fc.nat({ max: 60 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        // No regular round comes to the rescue.
        const simulation = started(3, { intervalMs: 2000, idleIntervalMs: 2000 });
        const { clock, monitor } = simulation;
        const primary = simulation.node(0);
        const waiting = new Map<number, () => void>();
        let waiters = 0;
        for (const next of steps) {
          if (next.what === 'write') primary.position += 100;
          else if (next.what === 'replay') simulation.node(next.node).position = primary.position;
          else if (next.what === 'latency') {
            simulation.node(next.node).latencyMs = [0.05 + next.there / 10, 0.05 + next.back / 10];
          } else if (next.what === 'pass') clock.advance(next.tenths / 10);
          else if (next.what === 'give up') {
            waiting.get(next.waiter)?.();
            waiting.delete(next.waiter);
          } else {
            const waiter = waiters++;
            const wait = monitor.waitForFence(clock.now() - next.agoMs, clock.now() + 60_000, (reached) => {
              expect(reached).toBe(true);
              expect(waiting.delete(waiter)).toBe(true);
            });
            if (wait === null) throw new Error('a replica is a moment behind');
            waiting.set(waiter, () => wait.cancel());
          }
        }
        for (const { index } of monitor.current().backends) simulation.node(index).position = primary.position;
        clock.advance(40);
        expect([...waiting.keys()]).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it('is not waited for when every replica is hopelessly behind, or none is usable, or nobody can be asked', () => {
    const wait = (simulation: Simulation) => {
      const now = simulation.clock.now();
      return simulation.monitor.waitForFence(now, now + 10, () => undefined);
    };
    const lagging = started();
    for (let ms = 0; ms < 2000; ms += 50) {
      lagging.node(0).position += 100;
      lagging.node(2).position += 100;
      lagging.monitor.noteTraffic();
      lagging.clock.advance(50);
    }
    expect(wait(lagging)).not.toBeNull();
    lagging.crash(2);
    lagging.clock.advance(5);
    expect(lagging.monitor.current().backends[1]?.problem).toBeNull();
    expect(wait(lagging)).toBeNull();

    const withoutReplicas = started();
    for (const index of [1, 2]) withoutReplicas.crash(index);
    withoutReplicas.clock.advance(5);
    expect(wait(withoutReplicas)).toBeNull();

    const withoutPrimary = started();
    withoutPrimary.crash(0);
    withoutPrimary.clock.advance(5);
    expect(wait(withoutPrimary)).toBeNull();
  });

  it('is waited for after a long idle time, though the last sample is old', () => {
    const simulation = started(2, { idleIntervalMs: 60_000, observationLifeMs: 120_000, maxLagMs: 600_000 });
    simulation.clock.advance(50_000);
    simulation.node(0).position += 100;
    const fence = simulation.clock.now();
    let outcome: boolean | null = null;
    simulation.monitor.waitForFence(fence, fence + 10, (reached) => {
      outcome = reached;
    });
    simulation.clock.advance(1);
    simulation.node(1).position += 100;
    simulation.clock.advance(10);
    expect(outcome).toBe(true);
  });

  it('is waited for by a bounded number', () => {
    const simulation = started();
    const now = simulation.clock.now();
    const waits = Array.from({ length: 10_001 }, () => simulation.monitor.waitForFence(now, now + 10, () => undefined));
    expect(waits.indexOf(null)).toBe(10_000);
  });
});

describe('suspicion', () => {
  it('has all nodes probed at once, and again only after a gap', () => {
    const simulation = started();
    simulation.clock.advance(30);
    const before = simulation.nodes.map(({ probes }) => probes.length);
    const suspects = (times: number) => {
      for (let i = 0; i < times; i++) simulation.monitor.suspect(1, 'connection reset');
    };
    suspects(100);
    simulation.clock.advance(1);
    suspects(100);
    simulation.clock.advance(10);
    const asked = () => simulation.nodes.map(({ probes }, index) => probes.length - (before[index] ?? 0));
    expect(asked()).toEqual([1, 1, 1]);
    simulation.clock.advance(12);
    expect(asked()).toEqual([2, 2, 2]);
    expect(simulation.eventNames().filter((event) => event === 'backend_suspected')).toHaveLength(2);
  });

  it('is told by the monitor connection itself: a crash is known within a millisecond', () => {
    const simulation = started();
    simulation.crash(1);
    expect(simulation.monitor.current().backends[1]).toMatchObject({ freshThroughMs: -Infinity, incarnation: 1 });
    simulation.clock.advance(1);
    expect(simulation.monitor.current().backends[1]).toMatchObject({ problem: 'unreachable', up: false });
  });
});

describe('what is said', () => {
  it('each change once, and to every listener', () => {
    const simulation = started();
    const seen: (number | null)[] = [];
    const end = simulation.monitor.onChange((view) => seen.push(view.primary));
    simulation.clock.advance(2000);
    expect(seen).toEqual([]);

    simulation.events.length = 0;
    simulation.crash(0);
    simulation.clock.advance(300);
    expect(simulation.eventNames()).toEqual(['primary_lost', 'backend_unusable']);
    Object.assign(simulation.node(1), { role: 'primary', timeline: 2 });
    simulation.clock.advance(300);
    expect(simulation.eventNames().slice(2)).toEqual(['primary_found', 'backend_unusable']);
    expect(simulation.events.at(-1)?.fields).toMatchObject({ backend: 'pg-2', problem: 'timeline not proven' });

    Object.assign(simulation.node(2), { timeline: 2 });
    Object.assign(simulation.node(0), { state: 'up' });
    simulation.clock.advance(3000);
    expect(simulation.eventNames().slice(4).toSorted()).toEqual(['backend_unusable', 'backend_usable', 'split_brain']);
    expect(simulation.monitor.current()).toMatchObject({ primary: 1, splitBrain: true });

    simulation.events.length = 0;
    Object.assign(simulation.node(0), { role: 'standby', timeline: 2 });
    simulation.clock.advance(3000);
    expect(simulation.eventNames()).toEqual(['split_brain_over', 'backend_usable']);

    const heard = seen.length;
    expect(seen).toContain(null);
    end();
    simulation.crash(1);
    simulation.clock.advance(10);
    expect(seen).toHaveLength(heard);
  });

  it('new limits hold from the next view on', () => {
    const simulation = started();
    simulation.node(0).position += 100;
    simulation.clock.advance(1500);
    expect(simulation.monitor.current().backends[1]?.problem).toBeNull();
    simulation.monitor.reconfigure({
      intervalMs: 100,
      idleIntervalMs: 1000,
      observationLifeMs: 3000,
      maxLagMs: 500,
      maxLagBytes: null,
    });
    simulation.clock.advance(1000);
    expect(simulation.monitor.current().backends[1]?.problem).toBe('lag over max_lag');
  });
});
