import { parseArgs } from 'node:util';

export const SUBJECTS = ['direct', 'pgweir', 'pgbouncer', 'pgpool'] as const;
export type SubjectName = (typeof SUBJECTS)[number];

export interface BenchOptions {
  /** Measured seconds of each run. */
  readonly seconds: number;
  /** How often each case is run with each subject. */
  readonly rounds: number;
  /** pgbench's scale: 100 000 accounts each. */
  readonly scale: number;
  /** Backend connections that a pooler may have to each backend. */
  readonly pool: number;
  readonly subjects: readonly SubjectName[];
  /** A case is run when its name holds all words of one of these; all cases when there are none. */
  readonly only: readonly string[];
  readonly help: boolean;
}

export const USAGE = `npm run bench -- [options]

Without options it takes about 25 minutes.

  --quick             one short round: a first impression, not a measurement
  --only WORDS        only cases whose name holds all the words, as --only "read-only simple 16"; may be repeated
  --subjects LIST     of ${SUBJECTS.join(',')}; all that are installed when not given
  --seconds N         of each run; 5
  --rounds N          runs of each case with each subject, interleaved; 3
  --scale N           of pgbench's tables; 10
  --pool N            backend connections per backend for the poolers; 20
`;

/** @throws Error for an unknown option or a value that is none. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      subjects: { type: 'string', default: SUBJECTS.join(',') },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      scale: { type: 'string', default: '10' },
      pool: { type: 'string', default: '20' },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    seconds: positive('seconds', values.seconds ?? (values.quick ? '2' : '5')),
    rounds: positive('rounds', values.rounds ?? (values.quick ? '1' : '3')),
    scale: positive('scale', values.scale),
    pool: positive('pool', values.pool),
    subjects: values.subjects.split(',').map(subjectName),
    only: values.only,
    help: values.help,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number above zero, not ${text}`);
  return value;
}

function subjectName(text: string): SubjectName {
  const name = SUBJECTS.find((subject) => subject === text.trim());
  if (name === undefined) throw new Error(`--subjects: ${text} is none of ${SUBJECTS.join(', ')}`);
  return name;
}
