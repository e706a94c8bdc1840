import { chownSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Account, isReachableByOthers, serverAccounts } from './account.ts';

const PREFIX = 'pgweir-';
const MEMORY = '/dev/shm';
/** Below this much room the data goes to the disk: a primary and two standbys can grow to about 2 GB with their WAL. */
const ROOMY_BYTES = 4 * 2 ** 30;

/** Two new directories (mode 0700) and the account that owns them; null: the account of this process. */
export interface Workplace {
  readonly account: Account | null;
  /** On a file system whose programs may be run. */
  readonly programs: string;
  /** In memory where there is room: ext4 is slow at creating thousands of files soon after as many were deleted. */
  readonly data: string;
}

/** @throws Error when no temporary directory or no account can be used. */
export function createWorkplace(): Workplace {
  for (const account of serverAccounts()) {
    const parent = temporaryDirectory(account);
    const programs = createDirectory(parent, account);
    if (programs !== null) return { account, programs, data: createDirectory(roomyMemory() ?? parent, account) ?? programs };
  }
  throw new Error('PostgreSQL refuses to run as root, and there is no other account here to run it under');
}

/** Null when `account` cannot own anything here. */
function createDirectory(parent: string, account: Account | null): string | null {
  const directory = mkdtempSync(join(parent, PREFIX));
  try {
    if (account !== null) chownSync(directory, account.uid, account.gid);
    return directory;
  } catch {
    rmSync(directory, { recursive: true });
    return null;
  }
}

/** The system's, or for another account the first that it can reach. */
function temporaryDirectory(account: Account | null): string {
  const directory = account === null ? tmpdir() : [tmpdir(), '/tmp', '/var/tmp'].find(isReachableByOthers);
  if (directory === undefined) throw new Error('no temporary directory that other accounts can reach; set TMPDIR to one');
  return directory;
}

/** Null when there is none, when it is small, or when the user said with TMPDIR where to work. */
function roomyMemory(): string | null {
  if (process.env.TMPDIR !== undefined) return null;
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= ROOMY_BYTES ? MEMORY : null;
  } catch {
    return null;
  }
}
