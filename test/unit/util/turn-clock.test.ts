import { expect, test } from 'vitest';
import { Turn } from '../../../src/util/turn.ts';
import { TurnClock } from '../../../src/util/turn-clock.ts';
import { ManualClock } from '../topology/manual-clock.ts';

test('a clock stands still during a turn, and goes on with the next and outside of any', () => {
  const real = new ManualClock();
  const turn = new Turn();
  const clock = new TurnClock(real, turn);
  const began = real.now();
  turn.enter();
  expect(clock.now()).toBe(began);
  real.advance(5);
  turn.enter();
  expect(clock.now()).toBe(began);
  turn.leave();
  turn.leave();
  expect(clock.now()).toBe(began + 5);
  real.advance(5);
  turn.enter();
  expect(clock.now()).toBe(began + 10);
  turn.leave();
});
