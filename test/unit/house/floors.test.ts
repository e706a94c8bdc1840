import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DOORS, FLOORS, IMPURE_FILES, PURE, type Rule, violationsOf } from './rules.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');
const FOLDERS = Object.keys(FLOORS).filter((name) => name !== 'app' && name !== 'main');
const PURE_FOLDERS = PURE.filter((name) => !name.endsWith('.ts'));

function readSources(): Map<string, string> {
  const names = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  const files = names.map((name) => name.replaceAll('\\', '/')).filter((name) => name.endsWith('.ts'));
  return new Map(files.map((name) => [name, readFileSync(join(ROOT, 'src', name), 'utf8')]));
}

/** The rules that a planted file breaks, in a house where every folder has a file `some.ts`. */
function rulesBroken(file: string, source: string): Rule[] {
  const house = new Map(
    [
      ...FOLDERS.map((folder) => `${folder}/some.ts`),
      'app.ts',
      'main.ts',
      'topology/view.ts',
      'backend/exchange.ts',
      'util/real-clock.ts',
    ].map((name) => [name, '']),
  );
  return violationsOf(house.set(file, source)).map(({ rule }) => rule);
}

function specifierOf(target: string): string {
  return target === 'app' || target === 'main' ? `../${target}.ts` : `../${target}/some.ts`;
}

describe('the house as it stands', () => {
  const sources = readSources();

  it('was really read', () => {
    expect(sources.size).toBeGreaterThan(100);
  });

  it('is held together by imports that were really found', () => {
    const alone = [...sources].map(([file, source]) => violationsOf(new Map([[file, source]])));
    expect(alone.flat().filter(({ rule }) => rule === 'unresolved import').length).toBeGreaterThan(200);
  });

  it('keeps its floors, its purity and its doors', () => {
    expect(violationsOf(sources).map(({ file, rule, what }) => `src/${file}: ${rule}: ${what}`)).toEqual([]);
  });

  it('names no file as pure or as a door that is not there', () => {
    const named = [...PURE, ...IMPURE_FILES, ...Object.values(DOORS).flat()].filter((name) => name.endsWith('.ts'));
    expect(named.filter((name) => !sources.has(name))).toEqual([]);
  });

  it('has a door for each runtime dependency, and no other', () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> };
    expect(Object.keys(DOORS).toSorted()).toEqual(Object.keys(manifest.dependencies).toSorted());
  });
});

describe('a planted violation is reported', () => {
  const upward = Object.keys(FLOORS).flatMap((from) =>
    Object.keys(FLOORS)
      .filter((to) => to !== from && !FLOORS[from]?.includes(to))
      .map((to) => [from, to] as const),
  );

  it.each(upward)('floor: %s imports %s', (from, to) => {
    const [file, specifier] =
      from === 'app' || from === 'main' ? [`${from}.ts`, specifierOf(to).slice(1)] : [`${from}/planted.ts`, specifierOf(to)];
    for (const kind of ['import { a }', 'import type { A }', 'export *']) {
      expect(rulesBroken(file, `${kind} from '${specifier}';`)).toEqual(['floor']);
    }
  });

  it.each([
    ['routing', 'topology/view'],
    ['session', 'topology/view'],
    ['session', 'backend/exchange'],
  ])('floor: %s imports another file beside %s', (folder, file) => {
    expect(rulesBroken(`${folder}/planted.ts`, `import { a } from '../${file}.ts';`)).toEqual([]);
    expect(rulesBroken(`${folder}/planted.ts`, `import { a } from '../${file.split('/')[0]}/some.ts';`)).toEqual(['floor']);
  });

  it.each(PURE_FOLDERS)('purity: %s imports an impure file, and not its types alone', (folder) => {
    const clock = folder === 'util' ? './real-clock.ts' : '../util/real-clock.ts';
    expect(rulesBroken(`${folder}/planted.ts`, `import { realClock } from '${clock}';`)).toEqual(['pure: impure import']);
    expect(rulesBroken(`${folder}/planted.ts`, `export { realClock } from '${clock}';`)).toEqual(['pure: impure import']);
    expect(rulesBroken(`${folder}/planted.ts`, `import type { Clock } from '${clock}';`)).toEqual([]);
  });

  it.each(PURE.filter((place) => place.startsWith('backend/')))('purity: %s imports a socket', (file) => {
    expect(rulesBroken(file, "import { dial } from './some.ts';")).toEqual(['pure: impure import']);
    expect(rulesBroken(file, "import net from 'node:net';")).toEqual(['pure: built-in module']);
  });

  it.each(
    PURE_FOLDERS.flatMap((folder) =>
      [
        'net',
        'tls',
        'fs',
        'fs/promises',
        'dns',
        'cluster',
        'child_process',
        'timers',
        'timers/promises',
        'worker_threads',
        'os',
      ].map((name) => [folder, name] as const),
    ),
  )('purity: %s imports node:%s', (folder, name) => {
    expect(rulesBroken(`${folder}/planted.ts`, `import { a } from 'node:${name}';`)).toEqual(['pure: built-in module']);
  });

  it('purity: node:crypto outside of auth', () => {
    const source = "import { createHash } from 'node:crypto';";
    expect(rulesBroken('auth/planted.ts', source)).toEqual([]);
    expect(rulesBroken('sql/planted.ts', source)).toEqual(['pure: built-in module']);
  });

  const ambient = [
    'Date.now()',
    'Date\n  .now()',
    'new Date()',
    'performance.now()',
    'Math.random()',
    'setTimeout(a, 1)',
    'setInterval(a, 1)',
    'setImmediate(a)',
    'queueMicrotask(a)',
    'process.env.HOME',
    "process['exit'](1)",
    '`${process.pid}`',
    'console.log(1)',
    "fetch('http://x')",
    'globalThis.setTimeout(a)',
  ];
  it.each(PURE.flatMap((place) => ambient.map((code) => [place, code] as const)))('purity: %s says %j', (place, code) => {
    const file = place.endsWith('.ts') ? place : `${place}/planted.ts`;
    expect(rulesBroken(file, `export const b = ${code};`)).toEqual(['pure: ambient']);
  });

  it('purity: but words in comments, strings and names of members are free', () => {
    const source =
      "// Date.now()\nexport const a = 'process.exit'; export const b = (c: C) => c.process.d + c.setTimeout(1) + c.console.e;";
    expect(rulesBroken('session/planted.ts', source)).toEqual([]);
  });

  it.each(Object.keys(DOORS))('door: %s comes in elsewhere', (name) => {
    expect(rulesBroken('server/planted.ts', `import { a } from '${name}';`)).toEqual(['dependency door']);
    expect(rulesBroken('server/planted.ts', `import { a } from '${name}/sub/path.js';`)).toEqual(['dependency door']);
    const [door = ''] = DOORS[name] ?? [];
    expect(rulesBroken(door.endsWith('/') ? `${door}planted.ts` : door, `import { a } from '${name}';`)).toEqual([]);
  });

  it.each([
    ['unknown folder', 'helpers/planted.ts', 'export const a = 1;'],
    ['unresolved import', 'util/planted.ts', "import { a } from './missing.ts';"],
    ['unresolved import', 'util/planted.ts', "import { a } from './some';"],
    ['outside src', 'demo/planted.ts', "import { a } from '../../test/support/cluster.ts';"],
    ['computed import', 'util/planted.ts', 'export const a = (name: string) => import(name);'],
    ['computed import', 'util/planted.ts', 'export const a = (name: string) => import(`./${name}.ts`);'],
    ['unknown dependency', 'server/planted.ts', "import { a } from 'left-pad';"],
    ['unknown dependency', 'server/planted.ts', "import { a } from '@left/pad/sub';"],
    ['builtin without node:', 'server/planted.ts', "import { a } from 'fs/promises';"],
  ] satisfies [Rule, string, string][])('%s: %s with %j', (rule, file, source) => {
    expect(rulesBroken(file, source)).toEqual([rule]);
  });
});
