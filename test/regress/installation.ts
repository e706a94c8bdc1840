import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PostgresBinaries } from '../../src/demo/postgres-binaries.ts';
import { findProgram } from '../bench/programs.ts';

const ADVICE = 'On Debian and Ubuntu all of it comes with: apt-get install postgresql postgresql-server-dev-all gcc';

/** The modules of contrib/spi that the suite loads (test triggers). */
const CONTRIBUTED = ['refint.so', 'autoinc.so'] as const;

/** What the suite needs of an installed PostgreSQL; paths are absolute. */
export interface Installation {
  readonly binaries: PostgresBinaries;
  readonly bindir: string;
  readonly pgRegress: string;
  readonly gcc: string;
  /** Headers to compile the suite's own C functions with. */
  readonly headers: string;
  readonly modules: readonly string[];
}

/**
 * Asks pg_config where everything is: the one of the environment variable PG_CONFIG (as PGXS has it), else one in the
 * PATH, else the newest of Debian's.
 * @throws Error that names everything that is missing
 */
export function findInstallation(env: NodeJS.ProcessEnv): Installation {
  const pgConfig = env.PG_CONFIG ?? findProgram('pg_config');
  if (pgConfig === null) throw new Error(`pg_config is missing. ${ADVICE}`);
  const ask = (what: string) => execFileSync(pgConfig, [`--${what}`], { encoding: 'utf8' }).trim();
  const [bindir, pkglibdir] = [ask('bindir'), ask('pkglibdir')];
  const gcc = findProgram('gcc');
  const installation = {
    binaries: { initdb: join(bindir, 'initdb'), postgres: join(bindir, 'postgres'), major: majorOf(ask('version')) },
    bindir,
    // Beside PGXS, where `make installcheck` of an extension looks for it (src/makefiles/pgxs.mk).
    pgRegress: join(dirname(ask('pgxs')), '../test/regress/pg_regress'),
    gcc: gcc ?? 'gcc',
    headers: ask('includedir-server'),
    modules: CONTRIBUTED.map((name) => join(pkglibdir, name)),
  };
  const { binaries, pgRegress, headers, modules } = installation;
  const needed = [binaries.initdb, binaries.postgres, join(bindir, 'psql'), pgRegress, join(headers, 'postgres.h'), ...modules];
  const missing = [...(gcc === null ? ['gcc'] : []), ...needed.filter((path) => !existsSync(path))];
  if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')} (by ${pgConfig}; PG_CONFIG names another). ${ADVICE}`);
  return installation;
}

/** `PostgreSQL 15.20 (Debian 15.20-0+deb12u1)`: 15. */
function majorOf(version: string): number {
  return Number(/\d+/.exec(version)?.[0]);
}
