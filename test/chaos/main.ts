import { check } from './checker.ts';
import { measureNeighbours } from './neighbours.ts';
import { parseOptions, USAGE } from './options.ts';

/** `npm run test:chaos`. Exit code 0 only if no client was told anything wrong. */

const options = parseOptions(process.argv.slice(2));
if (options.help) process.stdout.write(USAGE);
else {
  if (options.only !== 'neighbours' && !(await check(options))) process.exitCode = 1;
  if (options.only !== 'checker') await measureNeighbours(options);
}
