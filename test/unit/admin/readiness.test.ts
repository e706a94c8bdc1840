import { expect, test } from 'vitest';
import { Readiness } from '../../../src/admin/readiness.ts';
import type { View } from '../../../src/topology/view.ts';
import { backend, view } from './fixtures.ts';

const DOWN = { up: false, problem: 'unreachable', role: 'unknown' } as const;
const ALL_UP = view([backend(0), backend(1)]);
const NOT_PROBED = view([backend(0, { ...DOWN, problem: 'not probed yet' }), backend(1, { ...DOWN, problem: 'not probed yet' })]);
const NO_PRIMARY = view([backend(0, DOWN), backend(1)]);
const ALL_DOWN = view([backend(0, DOWN), backend(1, DOWN)]);
const SICK_REPLICA = view([backend(0, DOWN), backend(1, { problem: 'lag over max_lag' })]);

function subject(differences: { needsPrimary?: boolean } = {}) {
  const state = { view: NOT_PROBED as View, nowMs: 50_000, draining: false };
  const readiness = new Readiness({
    views: { current: () => state.view },
    clock: { now: () => state.nowMs, wallNow: () => 0, after: () => ({ cancel: () => undefined }) },
    needsPrimary: true,
    draining: () => state.draining,
    ...differences,
  });
  return { state, readiness };
}

test('is not ready before anything was probed', () => {
  expect(subject().readiness.problem()).toBe('no backend is reachable');
});

test('is not ready while only replicas were ever seen', () => {
  const { state, readiness } = subject();
  state.view = NO_PRIMARY;
  expect(readiness.problem()).toBe('no primary is known');
});

test('is ready once a primary is known', () => {
  const { state, readiness } = subject();
  state.view = ALL_UP;
  expect(readiness.problem()).toBeNull();
});

test('stays ready without a primary for as long as a failover takes, and no longer', () => {
  const { state, readiness } = subject();
  state.view = ALL_UP;
  readiness.problem();
  state.view = NO_PRIMARY;
  state.nowMs += 1_000_000;
  expect(readiness.problem()).toBeNull();
  state.nowMs += 29_999;
  expect(readiness.problem()).toBeNull();
  state.nowMs += 1;
  expect(readiness.problem()).toBe('no primary is known');
});

test('is ready again as soon as there is a primary, with all of the patience', () => {
  const { state, readiness } = subject();
  state.view = ALL_UP;
  readiness.problem();
  state.view = NO_PRIMARY;
  readiness.problem();
  state.nowMs += 40_000;
  expect(readiness.problem()).not.toBeNull();
  state.view = ALL_UP;
  expect(readiness.problem()).toBeNull();
  state.view = NO_PRIMARY;
  expect(readiness.problem()).toBeNull();
});

test('is not ready at once when nothing is reachable', () => {
  const { state, readiness } = subject();
  state.view = ALL_UP;
  readiness.problem();
  state.view = ALL_DOWN;
  expect(readiness.problem()).toBe('no backend is reachable');
});

test('is not ready while draining, whatever the backends do', () => {
  const { state, readiness } = subject();
  state.view = ALL_UP;
  state.draining = true;
  expect(readiness.problem()).toBe('draining');
});

test('with read-only listeners alone needs no primary but a usable backend', () => {
  const { state, readiness } = subject({ needsPrimary: false });
  state.view = SICK_REPLICA;
  expect(readiness.problem()).toBe('no usable replica is known');
  state.view = NO_PRIMARY;
  expect(readiness.problem()).toBeNull();
});

test('an observation that expired is no backend', () => {
  const { state, readiness } = subject();
  state.view = view([backend(0, { expiresAtMs: 50_000 })]);
  expect(readiness.problem()).toBeNull();
  state.nowMs += 1;
  expect(readiness.problem()).toBe('no backend is reachable');
});
