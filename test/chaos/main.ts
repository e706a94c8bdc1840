import { check } from './checker.ts';
import { parseOptions, USAGE } from './options.ts';

/** `npm run test:chaos`. Exit code 0 only if no client was told anything wrong. */

const options = parseOptions(process.argv.slice(2));
if (options.help) process.stdout.write(USAGE);
else if (!(await check(options))) process.exitCode = 1;
