import { builtinModules } from 'node:module';
import { posix } from 'node:path';
import { scan } from './scan.ts';

/** The pure part of `backend`: what a connection is and owes, without its socket. */
const LEDGER = ['connection', 'exchange', 'lease', 'question', 'residue', 'settings-prelude', 'login-error'].map(
  (name) => `backend/${name}`,
);
const BELOW_SERVER = ['util', 'protocol', 'sql', 'auth', 'config', 'backend', 'pool', 'topology', 'routing', 'session'];
const BELOW_APP = [...BELOW_SERVER, 'server', 'admin'];

/**
 * The floors of the house: what a folder of `src` may import besides itself; `topology/view` stands for that one file.
 * The table is the one of the design; a change here is a change of the design.
 */
export const FLOORS: Readonly<Record<string, readonly string[]>> = {
  util: [],
  protocol: ['util'],
  sql: ['util'],
  auth: ['util'],
  config: ['util'],
  backend: ['util', 'protocol', 'auth', 'config'],
  pool: ['util', 'protocol', 'auth', 'config', 'backend'],
  topology: ['util', 'config', 'sql', 'backend'],
  routing: ['util', 'config', 'sql', 'topology/view'],
  session: ['util', 'protocol', 'sql', 'auth', 'config', 'routing', 'topology/view', ...LEDGER],
  server: BELOW_SERVER,
  admin: ['util', 'protocol', 'config', 'pool', 'topology', 'session', 'server'],
  app: BELOW_APP,
  workers: [...BELOW_APP, 'app'],
  demo: [...BELOW_APP, 'app'],
  cli: [...BELOW_APP, 'app', 'workers', 'demo'],
  main: [...BELOW_APP, 'app', 'workers', 'demo', 'cli'],
};

/** Folders and single files that decide and never do: no I/O, no clock, no chance, nothing of the process. */
export const PURE: readonly string[] = [
  ...['util', 'protocol', 'sql', 'auth', 'config', 'routing', 'session'],
  ...[...LEDGER, 'backend/ledger'].map((name) => `${name}.ts`),
  'pool/pool.ts',
  ...['view', 'reduce', 'roles', 'lsn-clock'].map((name) => `topology/${name}.ts`),
  ...['share', 'time-base', 'restart-delay', 'plain-config'].map((name) => `workers/${name}.ts`),
];

/** The few doors from pure folders to the world. */
export const IMPURE_FILES: readonly string[] = ['util/real-clock.ts', 'util/logger.ts', 'config/load.ts', 'config/generate.ts'];

/** Built-in modules that know nothing of the world; `node:crypto` is for `auth` alone. */
const PURE_BUILTINS = new Set(['node:buffer', 'node:util']);

/** Each runtime dependency and the places that may know it: a file, or a folder with a slash at its end. */
export const DOORS: Readonly<Record<string, readonly string[]>> = {
  'libpg-query': ['sql/parser.ts'],
  yaml: ['config/parse.ts'],
  zod: ['config/'],
  'prom-client': ['admin/metrics.ts'],
  pino: ['util/logger.ts'],
  pg: ['backend/', 'topology/', 'demo/'],
  commander: ['cli/'],
};

/** What a pure file may not say. Members are matched after any space, so that a line break hides nothing. */
const AMBIENT: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['Date.now', /\bDate\s*\.\s*now\b/],
  ['new Date()', /\bnew\s+Date\s*(?:\(\s*\)|(?!\s*\())/],
  ['performance', /\bperformance\s*\./],
  ['Math.random', /\bMath\s*\.\s*random\b/],
  ['timers', /(?<![.\w])(?:set|clear)(?:Timeout|Interval|Immediate)\b|(?<![.\w])queueMicrotask\b/],
  ['process', /(?<![.\w#])process\s*(?:\.|\[|\?\.)/],
  ['console', /(?<![.\w#])console\s*\./],
  ['fetch', /(?<![.\w#])fetch\s*\(/],
  ['globalThis', /\bglobalThis\b/],
];

export type Rule =
  | 'unknown folder'
  | 'floor'
  | 'unresolved import'
  | 'outside src'
  | 'computed import'
  | 'unknown dependency'
  | 'dependency door'
  | 'pure: built-in module'
  | 'pure: ambient'
  | 'pure: impure import'
  | 'builtin without node:';

export interface Violation {
  readonly file: string;
  readonly rule: Rule;
  readonly what: string;
}

/** Checks a whole source tree. Keys are paths relative to `src`, with slashes. */
export function violationsOf(sources: ReadonlyMap<string, string>): Violation[] {
  return [...sources].flatMap(([file, source]) => violationsOfFile(file, source, sources));
}

function violationsOfFile(file: string, source: string, sources: ReadonlyMap<string, string>): Violation[] {
  const { imports, code } = scan(source);
  const found: Violation[] = [];
  const report = (rule: Rule, what: string) => found.push({ file, rule, what });
  const folder = folderOf(file);
  const pure = isPure(file);
  if (!Object.hasOwn(FLOORS, folder)) report('unknown folder', folder);
  if (/\bimport\s*\((?!\s*"\d+"\s*[,)])/.test(code)) report('computed import', 'import() of something that is not a literal');
  for (const { specifier, typeOnly } of imports) {
    const rule = specifier.startsWith('.')
      ? relativeRule(file, specifier, sources, pure && !typeOnly)
      : packageRule(file, specifier, pure);
    if (rule !== null) report(rule, specifier);
  }
  if (pure) for (const [name, pattern] of AMBIENT) if (pattern.test(code)) report('pure: ambient', name);
  return found;
}

/** @param purely whether what is imported must be pure: a pure file may name the types of an impure one, no more. */
function relativeRule(file: string, specifier: string, sources: ReadonlyMap<string, string>, purely: boolean): Rule | null {
  const target = posix.join(posix.dirname(file), specifier);
  if (target.startsWith('..')) return 'outside src';
  if (!sources.has(target)) return 'unresolved import';
  const [from, to] = [folderOf(file), folderOf(target)];
  const allowed = FLOORS[from] ?? [];
  if (from !== to && !allowed.includes(to) && !allowed.includes(target.replace(/\.ts$/, ''))) return 'floor';
  return purely && !isPure(target) ? 'pure: impure import' : null;
}

function packageRule(file: string, specifier: string, pure: boolean): Rule | null {
  if (specifier.startsWith('node:')) {
    const allowed = !pure || PURE_BUILTINS.has(specifier) || (specifier === 'node:crypto' && folderOf(file) === 'auth');
    return allowed ? null : 'pure: built-in module';
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (builtinModules.includes(name)) return 'builtin without node:';
  const doors = DOORS[name];
  if (doors === undefined) return 'unknown dependency';
  return doors.some((door) => (door.endsWith('/') ? file.startsWith(door) : file === door)) ? null : 'dependency door';
}

/** The first folder of a path, or the name of a file that lies in `src` itself. */
function folderOf(file: string): string {
  return file.split('/')[0]?.replace(/\.ts$/, '') ?? '';
}

function isPure(file: string): boolean {
  if (IMPURE_FILES.includes(file)) return false;
  return PURE.includes(file) || PURE.includes(folderOf(file));
}
