import { spawnSync } from 'node:child_process';
import { accessSync, constants, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where Debian keeps servers, which an ordinary user's PATH leaves out, and PostgreSQL's own programs. */
const MORE_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const POSTGRES_DIRECTORIES = '/usr/lib/postgresql/*/bin';

/** The full path of an installed program, or null. */
export function findProgram(name: string): string | null {
  const directories = [
    ...(process.env.PATH ?? '').split(delimiter),
    ...MORE_DIRECTORIES,
    ...globSync(POSTGRES_DIRECTORIES).toReversed(),
  ];
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first line that the program says about its version, wherever it says it. */
export function versionOf(path: string): string {
  const { stdout, stderr } = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return `${stdout}${stderr}`.trim().split('\n', 1)[0] ?? '';
}

/** Major and minor version as one number that can be compared, 1.18.0 as 1.18 and 1.9 as 1.09; NaN when the text holds none. */
export function versionNumberOf(text: string): number {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(text) ?? [];
  return Number(major) + Number(minor) / 100;
}
