import { realClock } from '../util/real-clock.ts';
import type { TwoClocks } from './time-base.ts';

/** CLOCK_MONOTONIC, which all processes of a machine share, and the clock of this process. */
export const twoClocks: TwoClocks = {
  machine: () => Number(process.hrtime.bigint()) / 1e6,
  own: () => realClock.now(),
};
