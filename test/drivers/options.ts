import { parseArgs } from 'node:util';
import { DRIVERS, type Driver } from './drivers.ts';

interface Options {
  readonly drivers: readonly Driver[];
  readonly mode: 'transaction' | 'session';
  /** Write the table of where reads go into README.md. */
  readonly readme: boolean;
  /** Print what the programs printed. */
  readonly verbose: boolean;
  readonly help: boolean;
}

export const USAGE = `npm run test:drivers -- [options]

Runs a program of each driver on a direct connection and through pgweir, in front of a primary with two replicas.
The drivers that do not come with npm ci are installed by test/drivers/set-up.sh.

  --only LIST      only these, of ${DRIVERS.map(({ name }) => name).join(', ')}
  --mode MODE      pool.mode: transaction (when not given) or session
  --readme         writes the table of where reads go into README.md
  --verbose        prints what the programs saw
`;

/** @throws Error for an unknown option or a value that is none. */
export function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      mode: { type: 'string', default: 'transaction' },
      readme: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { mode, readme } = values;
  if (mode !== 'transaction' && mode !== 'session') throw new Error(`no pool.mode: ${mode}`);
  if (readme && (values.only !== undefined || mode !== 'transaction'))
    throw new Error('the README shows all drivers, in the default mode');
  return {
    drivers: values.only?.split(',').map(driverNamed) ?? DRIVERS,
    mode,
    readme,
    verbose: values.verbose,
    help: values.help,
  };
}

function driverNamed(name: string): Driver {
  const driver = DRIVERS.find((candidate) => candidate.name === name.trim());
  if (driver === undefined) throw new Error(`no driver: ${name}`);
  return driver;
}
