import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly seconds: number;
  readonly sessions: number;
  /** Chance is made of this: the same seed makes the same plans, though not the same order of events. */
  readonly seed: number;
  readonly shared: boolean;
  readonly help: boolean;
}

export const USAGE = `npm run test:chaos -- [options]

Checks what clients are told while everything happens at once: reads and writes of many sessions, cancels, clients that go or
do not read, slow and long reads, replicas that are killed and come back.

  --seconds N      how long it runs; 60
  --sessions N     at the same time; 200
  --seed N         of their plans; by chance when not given
  --shared off     with pool.shared_reads: false
`;

/** @throws Error for an unknown option or a value that is none. */
export function parseOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '60' },
      sessions: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      shared: { type: 'string', default: 'on' },
      help: { type: 'boolean', default: false },
    },
  });
  const { shared } = values;
  if (shared !== 'on' && shared !== 'off') throw new Error('--shared takes on or off');
  return {
    seconds: wholeNumber('seconds', values.seconds),
    sessions: wholeNumber('sessions', values.sessions),
    seed: wholeNumber('seed', values.seed),
    shared: shared === 'on',
    help: values.help,
  };
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number above zero, not ${text}`);
  return value;
}
