import { expect, test } from 'vitest';
import type { View } from '../../../src/topology/view.ts';
import type { TopologyAsks } from '../../../src/workers/messages.ts';
import { RemoteWatch } from '../../../src/workers/remote-watch.ts';
import { backend, view } from '../admin/fixtures.ts';
import { ManualClock } from '../topology/manual-clock.ts';

const viewFresh = (freshThroughMs: number) => view([backend(0), backend(1, { freshThroughMs })]);

function stage(first: View = viewFresh(0)) {
  const clock = new ManualClock(1000);
  const told: TopologyAsks[] = [];
  let deferred: (() => void)[] = [];
  const watch = new RemoteWatch({
    view: first,
    clock,
    defer: (work) => void deferred.push(work),
    tell: (asks) => void told.push(asks),
  });
  return {
    clock,
    told,
    watch,
    endTurn: () => {
      const works = deferred;
      deferred = [];
      for (const work of works) work();
    },
  };
}

test('a read waits for a view that is fresh enough', () => {
  const { watch } = stage();
  const outcomes: (number | boolean)[] = [];
  for (const fenceMs of [900, 950]) watch.waitForFence(fenceMs, 2000, (reached) => outcomes.push(fenceMs, reached));
  watch.receive(viewFresh(899.999));
  expect(outcomes).toEqual([]);
  watch.receive(viewFresh(900));
  expect(outcomes).toEqual([900, true]);
  expect(watch.current().backends[1]?.freshThroughMs).toBe(900);
  watch.receive(viewFresh(1000));
  expect(outcomes).toEqual([900, true, 950, true]);
});

test('a read that waits for what is there already is told so, though no view comes', () => {
  const { watch, clock } = stage(viewFresh(900));
  const outcomes: boolean[] = [];
  watch.waitForFence(900, 2000, (reached) => outcomes.push(reached));
  expect(outcomes).toEqual([]);
  clock.advance(5);
  expect(outcomes).toEqual([true]);
});

test('a read does not wait longer than it may, and not at all once it is cancelled', () => {
  const { watch, clock } = stage();
  const outcomes: boolean[] = [];
  watch.waitForFence(900, 1010, (reached) => outcomes.push(reached));
  watch.waitForFence(900, 1010, () => outcomes.push(true))?.cancel();
  clock.advance(9);
  expect(outcomes).toEqual([]);
  clock.advance(5);
  expect(outcomes).toEqual([false]);
  clock.advance(100);
  expect(clock.timers, 'nothing is left running').toBe(0);
});

test('of the reads that wait, those that the monitor has no hope for do so no longer', () => {
  const { watch } = stage();
  const outcomes: number[] = [];
  for (const fenceMs of [900, 950, 990]) watch.waitForFence(fenceMs, 2000, () => outcomes.push(fenceMs));
  watch.hopeless(950);
  expect(outcomes).toEqual([950, 990]);
});

test('nobody waits while no replica is usable, or after the end', () => {
  const lagging = view([backend(0), backend(1, { problem: 'lag over max_lag' })]);
  expect(stage(lagging).watch.waitForFence(900, 2000, () => undefined)).toBeNull();
  const { watch } = stage();
  const outcomes: boolean[] = [];
  watch.waitForFence(900, 2000, (reached) => outcomes.push(reached));
  watch.stop();
  expect(outcomes).toEqual([false]);
  expect(watch.waitForFence(900, 2000, () => undefined)).toBeNull();
});

test('what sessions tell and ask in one turn is one message', () => {
  const { watch, told, endTurn } = stage();
  watch.noteTraffic();
  for (const cause of ['57P01', 'connection lost']) watch.suspect(1, cause);
  for (const [fenceMs, deadlineMs] of [
    [900, 1500],
    [950, 1100],
  ] as const) {
    watch.waitForFence(fenceMs, deadlineMs, () => undefined);
  }
  expect(told).toEqual([]);
  endTurn();
  expect(told).toEqual([
    { traffic: true, suspects: [{ backend: 1, cause: 'connection lost' }], fence: { fenceMs: 950, deadlineMs: 1500 } },
  ]);
  endTurn();
  expect(told).toHaveLength(1);
});

test('traffic is told of now and then, for as long as there is any, and at once after a pause', () => {
  const { watch, told, endTurn, clock } = stage();
  for (let turn = 0; turn < 1000; turn++) {
    clock.advance(1);
    watch.noteTraffic();
    if (turn % 10 === 0) watch.receive(viewFresh(clock.now()));
    endTurn();
  }
  expect(told.length).toBeGreaterThanOrEqual(9);
  expect(told.length).toBeLessThanOrEqual(11);
  clock.advance(1000);
  watch.receive(viewFresh(clock.now()));
  const before = told.length;
  watch.noteTraffic();
  endTurn();
  expect(told).toHaveLength(before + 1);
});

test('listeners hear of what is different besides fresh-through and lag', () => {
  const { watch } = stage();
  const heard: [View, View][] = [];
  const silence = watch.onChange((now, before) => heard.push([now, before]));
  const fresher = viewFresh(500);
  watch.receive(fresher);
  expect(heard).toEqual([]);
  const lost = view([backend(0, { problem: 'unreachable' }), backend(1)]);
  watch.receive(lost);
  expect(heard).toEqual([[lost, fresher]]);
  silence();
  watch.receive(viewFresh(600));
  expect(heard).toHaveLength(1);
});
