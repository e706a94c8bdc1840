import { parseArgs } from 'node:util';
import { CLIENTS, PROTOCOLS, type Protocol } from './cases.ts';

/** The ways that are measured; the README beside `npm run bench` and the notes that it prints say what each of them is. */
export const SUBJECTS = ['direct', 'pgweir', 'pgweir-leases', 'pgweir-optimistic', 'pgbouncer', 'pgpool'] as const;
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
  readonly clients: readonly number[];
  readonly protocols: readonly Protocol[];
  /** A case is run when its name holds all words of one of these; all cases when there are none. */
  readonly only: readonly string[];
  /** Only what the targets speak of. */
  readonly targets: boolean;
  /** The tables go into README.md too. */
  readonly readme: boolean;
  readonly help: boolean;
}

export const USAGE = `npm run bench -- [options]

Without options it takes an hour and a half.

  --targets           only what the targets speak of: a quarter of an hour
  --quick             one short round, of what the targets speak of unless cases are chosen: a first impression
  --only WORDS        only cases whose name holds all the words, as --only "read-only simple 16"; may be repeated
  --clients LIST      ${CLIENTS.join(',')}; connection churn and the ORM's work are run with 16 only
  --protocols LIST    ${PROTOCOLS.join(',')}
  --subjects LIST     of ${SUBJECTS.join(',')}; all that are installed when not given
  --seconds N         of each run; 3
  --rounds N          runs of each case with each subject, interleaved; 5
  --scale N           of pgbench's tables; 10
  --pool N            backend connections per backend for the poolers; 20
  --readme            writes the tables into README.md
`;

/** @throws Error for an unknown option or a value that is none. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      targets: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      clients: { type: 'string' },
      protocols: { type: 'string' },
      subjects: { type: 'string', default: SUBJECTS.join(',') },
      seconds: { type: 'string' },
      rounds: { type: 'string' },
      scale: { type: 'string', default: '10' },
      pool: { type: 'string', default: '20' },
      readme: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick, only, clients, protocols } = values;
  const choosesNothing = only.length === 0 && clients === undefined && protocols === undefined;
  return {
    seconds: positive('seconds', values.seconds ?? (quick ? '2' : '3')),
    rounds: positive('rounds', values.rounds ?? (quick ? '1' : '5')),
    scale: positive('scale', values.scale),
    pool: positive('pool', values.pool),
    subjects: values.subjects.split(',').map((name) => oneOf('subjects', SUBJECTS, name)),
    clients: clients === undefined ? CLIENTS : clients.split(',').map((count) => positive('clients', count)),
    protocols: protocols === undefined ? PROTOCOLS : protocols.split(',').map((name) => oneOf('protocols', PROTOCOLS, name)),
    only,
    targets: values.targets || (quick && choosesNothing),
    readme: values.readme,
    help: values.help,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes whole numbers above zero, not ${text}`);
  return value;
}

function oneOf<Name extends string>(option: string, names: readonly Name[], text: string): Name {
  const name = names.find((each) => each === text.trim());
  if (name === undefined) throw new Error(`--${option}: ${text} is none of ${names.join(', ')}`);
  return name;
}
