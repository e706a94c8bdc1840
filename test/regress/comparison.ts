import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Comparison {
  /** Tests of the reference. */
  readonly tests: number;
  readonly differing: readonly Difference[];
}

interface Difference {
  readonly test: string;
  /** Unified, without the lines that name the files. */
  readonly diff: string;
}

const SUFFIX = '.out';

/** Compares the outputs of two runs of the suite, byte by byte. */
export function compareOutputs(reference: string, other: string): Comparison {
  const files = readdirSync(reference).filter((name) => name.endsWith(SUFFIX));
  const differing: Difference[] = [];
  for (const file of files.sort()) {
    const [expected, actual] = [join(reference, file), join(other, file)];
    const test = file.slice(0, -SUFFIX.length);
    if (!existsSync(actual)) differing.push({ test, diff: 'no output' });
    else if (!readFileSync(expected).equals(readFileSync(actual))) differing.push({ test, diff: diffOf(expected, actual) });
  }
  return { tests: files.length, differing };
}

/** By diff(1), which pg_regress needs too. */
function diffOf(expected: string, actual: string): string {
  const { stdout, error } = spawnSync('diff', ['-a', '-U2', expected, actual], { encoding: 'latin1', maxBuffer: 64 * 2 ** 20 });
  return error === undefined ? stdout.split('\n').slice(2).join('\n').trimEnd() : `differs (${error.message})`;
}
