import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** An operating-system account that servers run under. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The accounts that PostgreSQL may run under here, best first; null stands for this process's own. PostgreSQL refuses
 * to run as root, so for root they are all others, `nobody` first. Only listed ones will do, since initdb looks its
 * user up by number; in a user namespace some of them may not be mapped, so that using them fails with EINVAL.
 */
export function serverAccounts(): (Account | null)[] {
  if (process.getuid?.() !== 0) return [null];
  const rows = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const accounts = rows
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ uid, gid }) => uid > 0 && gid > 0);
  return accounts.sort((a, b) => Number(b.name === 'nobody') - Number(a.name === 'nobody'));
}

/** Whether any account may pass through `directory`, judged by its permissions and those of all above it. */
export function isReachableByOthers(directory: string): boolean {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats === undefined || (stats.mode & 0o001) === 0) return false;
  return directory === dirname(directory) || isReachableByOthers(dirname(directory));
}
