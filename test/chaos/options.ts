import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly seconds: number;
  readonly sessions: number;
  /** Chance is made of this: the same seed makes the same plans, though not the same order of events. */
  readonly seed: number;
  readonly shared: boolean;
  readonly only: 'checker' | 'neighbours' | null;
  /** Interleaved rounds of the neighbours' measure. */
  readonly rounds: number;
  readonly help: boolean;
}

export const USAGE = `npm run test:chaos -- [options]

Checks what clients are told while everything happens at once: reads and writes of many sessions, cancels, clients that go or
do not read, slow and long reads, replicas that are killed and come back. Then measures what slow reads do to quick ones.

  --only PART      checker or neighbours; both when not given
  --seconds N      how long the checker runs; 60
  --sessions N     of the checker; 200
  --seed N         of its plans; by chance when not given
  --shared off     with pool.shared_reads: false
  --rounds N       of the neighbours' measure, of 5 seconds each; 5
`;

/** @throws Error for an unknown option or a value that is none. */
export function parseOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      seconds: { type: 'string', default: '60' },
      sessions: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      shared: { type: 'string', default: 'on' },
      rounds: { type: 'string', default: '5' },
      help: { type: 'boolean', default: false },
    },
  });
  const { only = null, shared } = values;
  if (only !== null && only !== 'checker' && only !== 'neighbours') throw new Error(`--only: there is no ${only}`);
  if (shared !== 'on' && shared !== 'off') throw new Error('--shared takes on or off');
  return {
    seconds: wholeNumber('seconds', values.seconds),
    sessions: wholeNumber('sessions', values.sessions),
    seed: wholeNumber('seed', values.seed),
    rounds: wholeNumber('rounds', values.rounds),
    shared: shared === 'on',
    only,
    help: values.help,
  };
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number above zero, not ${text}`);
  return value;
}
