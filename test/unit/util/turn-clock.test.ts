import { expect, test } from 'vitest';
import { Turn } from '../../../src/util/turn.ts';
import { TurnClock } from '../../../src/util/turn-clock.ts';
import { ManualClock } from '../topology/manual-clock.ts';

test('a clock stands still during a turn, and goes on with the next and outside of any', () => {
  const real = new ManualClock();
  const turn = new Turn();
  const clock = new TurnClock(real, turn, () => undefined);
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

test('what is handled has come after the round before began, or when it had been waited for', () => {
  const real = new ManualClock();
  const turn = new Turn();
  let endRound: () => void = () => undefined;
  const clock = new TurnClock(real, turn, (work) => {
    endRound = work;
  });
  const arrivedAfter = () => {
    turn.enter();
    const ms = clock.arrivedAfter();
    turn.leave();
    return ms;
  };
  const first = real.now();
  arrivedAfter();
  real.advance(30);
  arrivedAfter();
  endRound();
  // The next round begins at once: the process was busy with the first for 30 ms, and what it finds may have come any time.
  expect(arrivedAfter()).toBe(first);
  real.advance(5);
  expect(arrivedAfter()).toBe(first);
  endRound();
  // Nothing was there for 20 ms: then it had just come.
  real.advance(20);
  expect(arrivedAfter()).toBe(first + 55);
  real.advance(1);
  endRound();
  expect(arrivedAfter()).toBe(first + 55);
});
