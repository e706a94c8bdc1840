import { parseArgs } from 'node:util';

export const MODES = ['transaction', 'session'] as const;
export const TRANSACTIONS = ['declared', 'optimistic'] as const;

export interface RegressOptions {
  /** Directory of the suite: sql, expected, data, parallel_schedule, regress.c. */
  readonly suite: string | null;
  /** `pool.mode` of pgweir. */
  readonly mode: (typeof MODES)[number];
  /** `routing.transactions` of pgweir; null leaves it out of the configuration. */
  readonly transactions: (typeof TRANSACTIONS)[number] | null;
  /** `pool.shared_reads` of pgweir. */
  readonly shared: boolean;
  /** `recovery_min_apply_delay` of one replica, as PostgreSQL writes times; null: none. */
  readonly lag: string | null;
  /** How often the suite is run through pgweir; it is run directly once. */
  readonly runs: number;
  /** Where pgweir listens; null: a free port. */
  readonly port: number | null;
  readonly encoding: string;
  /** Where outputs are left; null: nowhere. */
  readonly keep: string | null;
  readonly help: boolean;
}

export const USAGE = `npm run test:regress -- --suite DIR [options]

Runs PostgreSQL's own regression suite on a direct connection and then through pgweir, and compares the outputs test by
test. A run takes about a minute.

  --suite DIR           the suite; PG_REGRESS_SUITE when not given
  --mode MODE           ${MODES.join(' or ')}; ${MODES[0]}
  --transactions WHICH  ${TRANSACTIONS.join(' or ')}; pgweir's default when not given
  --shared off          with pool.shared_reads: false
  --lag TIME            how long one of the two replicas waits before it applies a commit, as 500ms
  --runs N              runs through pgweir; 1
  --port N              where pgweir listens; a free port when not given
  --encoding NAME       of the database; UTF8
  --keep DIR            leave the outputs and logs of all runs there
`;

/** @throws Error for an unknown option or a value that is none. */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): RegressOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      suite: { type: 'string' },
      mode: { type: 'string', default: MODES[0] },
      transactions: { type: 'string' },
      shared: { type: 'string', default: 'on' },
      lag: { type: 'string' },
      runs: { type: 'string', default: '1' },
      port: { type: 'string' },
      encoding: { type: 'string', default: 'UTF8' },
      keep: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    suite: values.suite ?? env.PG_REGRESS_SUITE ?? null,
    mode: oneOf('mode', MODES, values.mode),
    transactions: values.transactions === undefined ? null : oneOf('transactions', TRANSACTIONS, values.transactions),
    shared: oneOf('shared', ['on', 'off'], values.shared) === 'on',
    lag: values.lag ?? null,
    runs: positive('runs', values.runs),
    port: values.port === undefined ? null : positive('port', values.port),
    encoding: values.encoding,
    keep: values.keep ?? null,
    help: values.help,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number above zero, not ${text}`);
  return value;
}

function oneOf<Value extends string>(name: string, values: readonly Value[], text: string): Value {
  const value = values.find((known) => known === text);
  if (value === undefined) throw new Error(`--${name} takes ${values.join(' or ')}, not ${text}`);
  return value;
}
