import { cpus, release, totalmem, type } from 'node:os';
import type { BenchOptions } from './options.ts';
import type { Subject } from './subjects.ts';

const GIGABYTE = 2 ** 30;

/** What the reader of any number must know: the machine, the versions, the command, and how each way is set up. */
export function conditionsOf({
  pgbench,
  subjects,
  options: { rounds, seconds, scale },
  args,
}: {
  readonly pgbench: string;
  readonly subjects: readonly Subject[];
  readonly options: BenchOptions;
  readonly args: readonly string[];
}): string[] {
  const processors = cpus();
  const machine = `${processors.length} cores (${processors[0]?.model.trim() ?? 'unknown'}) and ${(totalmem() / GIGABYTE).toFixed(0)} GB for all of it, ${type()} ${release().split('-', 1)[0]}`;
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args.map(quoted)] : [])].join(' ');
  return [
    `\`${command}\`, ${new Date().toISOString().slice(0, 10)}: ${machine}; ${pgbench}; medians of ${rounds} interleaved rounds of ${seconds} s; tables of scale ${scale}, a primary and two replicas.`,
    subjects.map(({ name, version, note }) => `- ${name}: ${version}, ${note}`).join('\n'),
  ];
}

function quoted(argument: string): string {
  return /^[\w.,=-]+$/.test(argument) ? argument : `"${argument}"`;
}
