import { chownSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** An operating-system account that servers run under. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** A new directory of our own and the account that owns it; null: the account of this process. */
export interface Workplace {
  readonly directory: string;
  readonly account: Account | null;
}

/**
 * Creates a directory (mode 0700) in which PostgreSQL can run. PostgreSQL refuses to run as root, so for root the
 * directory belongs to another account, by preference `nobody`, and lies where that account can reach it.
 *
 * @throws Error when no temporary directory or no account can be used.
 */
export function createWorkplace(prefix: string): Workplace {
  if (process.getuid?.() !== 0) return { directory: mkdtempSync(join(tmpdir(), prefix)), account: null };
  const parent = [tmpdir(), '/tmp', '/var/tmp', '/dev/shm'].find(isReachableByOthers);
  if (parent === undefined) throw new Error('no temporary directory that other accounts can reach; set TMPDIR to one');
  const directory = mkdtempSync(join(parent, prefix));
  for (const account of otherAccounts()) {
    try {
      chownSync(directory, account.uid, account.gid);
      return { directory, account };
    } catch {
      // In a user namespace an account may not be mapped (EINVAL): the next one may be.
    }
  }
  rmSync(directory, { recursive: true });
  throw new Error('PostgreSQL refuses to run as root, and there is no other account here to run it under');
}

/** Accounts beside root, `nobody` first. Only listed ones will do: initdb looks its user up by number. */
function otherAccounts(): Account[] {
  const rows = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const accounts = rows
    .map(([name, , uid, gid]) => ({ name, uid: Number(uid), gid: Number(gid) }))
    .filter(({ uid, gid }) => uid > 0 && gid > 0);
  return accounts.sort((a, b) => Number(b.name === 'nobody') - Number(a.name === 'nobody'));
}

function isReachableByOthers(directory: string): boolean {
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats === undefined || (stats.mode & 0o001) === 0) return false;
  return directory === dirname(directory) || isReachableByOthers(dirname(directory));
}
