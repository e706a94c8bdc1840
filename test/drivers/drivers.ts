import { existsSync } from 'node:fs';
import type { Idiom } from './idioms.ts';

export interface Driver {
  /** Its name in tables, and in `--only`. */
  readonly name: string;
  /** What runs its program. */
  readonly command: readonly [string, ...string[]];
  /** Prints the version if the driver is installed, and nothing like one otherwise. */
  readonly probe: readonly [string, ...string[]];
  /** What a statement is in when the application says nothing. */
  readonly unasked: 'autocommit' | 'BEGIN';
  /** How a read-only transaction is spelled in it. */
  readonly readOnly: string;
  /** Idioms that it does not have, and why. */
  readonly without: Partial<Record<Idiom, string>>;
}

const programs = new URL('programs/', import.meta.url).pathname;
const program = (file: string) => `${programs}${file}`;
/** The interpreter that sees Debian's Python packages, whatever other one comes first in PATH. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
const JDBC = '/usr/share/java/postgresql.jar';
const python = (module: string) => [PYTHON, '-c', `import ${module}; print(${module}.__version__)`] as const;
const npm = (name: string) =>
  [process.execPath, '-p', `JSON.parse(fs.readFileSync('node_modules/${name}/package.json')).version`] as const;

export const DRIVERS: readonly Driver[] = [
  {
    name: 'node-postgres',
    command: [process.execPath, program('node-postgres.ts')],
    probe: npm('pg'),
    unasked: 'autocommit',
    readOnly: "query('BEGIN READ ONLY')",
    without: { copy: 'needs pg-copy-streams', cursors: 'needs pg-cursor' },
  },
  {
    name: 'postgres.js',
    command: [process.execPath, program('postgres-js.ts')],
    probe: npm('postgres'),
    unasked: 'autocommit',
    readOnly: "begin('read only', ...)",
    without: {},
  },
  {
    name: 'psycopg2',
    command: [PYTHON, program('psycopg-2.py')],
    probe: python('psycopg2'),
    unasked: 'BEGIN',
    readOnly: 'set_session(readonly=True)',
    without: { 'prepared statements': 'has none', pipelining: 'has none', 'changed tables': 'prepares nothing' },
  },
  {
    name: 'psycopg 3',
    command: [PYTHON, program('psycopg-3.py')],
    probe: python('psycopg'),
    unasked: 'BEGIN',
    readOnly: 'read_only = True',
    without: {},
  },
  {
    name: 'asyncpg',
    command: [PYTHON, program('async-pg.py')],
    probe: python('asyncpg'),
    unasked: 'autocommit',
    readOnly: 'transaction(readonly=True)',
    without: {},
  },
  {
    name: 'pgjdbc',
    command: ['java', '-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', JDBC, program('pgjdbc.java')],
    probe: ['java', '-cp', JDBC, 'org.postgresql.util.PGJDBCMain'],
    unasked: 'autocommit',
    readOnly: 'setReadOnly(true)',
    without: {},
  },
  {
    name: 'DBD::Pg',
    command: ['perl', program('dbd-pg.pl')],
    probe: ['perl', '-MDBD::Pg', '-e', 'print $DBD::Pg::VERSION'],
    unasked: 'autocommit',
    readOnly: '$dbh->{ReadOnly} = 1',
    without: { cursors: 'has none', pipelining: 'has none' },
  },
  {
    name: 'ruby-pg',
    command: ['ruby', program('ruby-pg.rb')],
    probe: ['ruby', '-rpg', '-e', 'print PG::VERSION'],
    unasked: 'autocommit',
    readOnly: "exec('BEGIN READ ONLY')",
    without: {},
  },
  {
    name: 'PHP PDO',
    command: ['php', program('php-pdo.php')],
    probe: ['php', '-r', "echo phpversion('pdo_pgsql');"],
    unasked: 'autocommit',
    readOnly: "exec('SET TRANSACTION READ ONLY')",
    without: { cancel: 'has none', pipelining: 'has none' },
  },
  {
    name: 'psql',
    command: ['bash', program('psql.sh')],
    probe: ['psql', '--version'],
    unasked: 'autocommit',
    readOnly: 'BEGIN READ ONLY',
    without: { pipelining: 'has none before 18' },
  },
];
