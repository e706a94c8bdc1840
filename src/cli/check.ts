import { formatAddress } from '../config/address.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem, type Problem } from '../config/problem.ts';
import type { Config } from '../config/settings.ts';
import { EXIT, type Io } from './io.ts';

/** `pgweir check`: all that is wrong with a configuration, or a summary of it. */
export function check(file: string, io: Io): number {
  const validation = loadConfig(file, io.env);
  if (validation.kind === 'invalid') return reportProblems(validation.problems, file, io);
  io.out(`${file}: ok`);
  for (const line of summary(validation.config)) io.out(`  ${line}`);
  return EXIT.ok;
}

/** One line for each problem, and their number. */
export function reportProblems(problems: readonly Problem[], file: string, io: Io): number {
  for (const problem of problems) io.err(formatProblem(problem, file));
  io.err(`${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`);
  return EXIT.failed;
}

function summary({ listen, backends, monitor, routing, pool, http }: Config): string[] {
  return [
    `listens on ${listen.map((entry) => `${formatAddress(entry)} (${entry.mode})`).join(', ')}`,
    `backends ${backends.map(({ name }) => name).join(', ')}, watched as ${monitor.user}`,
    `routing with ${routing.consistency} consistency, pool in ${pool.mode} mode`,
    `metrics on http://${formatAddress(http)}/metrics`,
  ];
}
