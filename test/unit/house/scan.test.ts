import { describe, expect, it } from 'vitest';
import { scan } from './scan.ts';

describe('the reader of imports', () => {
  it.each([
    ["import { a } from './a.ts';", ['./a.ts']],
    ["import type { A } from './a.ts';", ['./a.ts']],
    ["import a, { type B } from './a.ts'", ['./a.ts']],
    ["import * as a from './a.ts';", ['./a.ts']],
    ["import './a.ts';", ['./a.ts']],
    ["export * from './a.ts';", ['./a.ts']],
    ["export { a } from './a.ts';", ['./a.ts']],
    ["import {\n  a,\n  b,\n} from\n  './a.ts';", ['./a.ts']],
    ["const a = await import('./a.ts');", ['./a.ts']],
    ["type A = import('./a.ts').A;", ['./a.ts']],
    ['import { a } from "./a.ts";', ['./a.ts']],
    ["import { a } from './a.ts';import{b}from'./b.ts'", ['./a.ts', './b.ts']],
    ["const t = `${await import('./a.ts')}`;", ['./a.ts']],
    ["const t = `${{ a: `${await import('./a.ts')}` }}`; import './b.ts';", ['./a.ts', './b.ts']],
    ["const quote = /['\"`]/; import './a.ts';", ['./a.ts']],
    ["const half = 1 / 2; import './a.ts'; const third = 1 / 3;", ['./a.ts']],
    ["const url = 'http://x'; import './a.ts';", ['./a.ts']],
    ["export const a = 1;\nconst from = './b.ts';", []],
    ["// import './a.ts';", []],
    ["/* import './a.ts'; */", []],
    ['const text = "import \'./a.ts\'";', []],
    ["const text = `import './a.ts'`;", []],
    ["const text = 'it\\'s import \"./a.ts\"';", []],
  ])('finds in %j the specifiers %j', (source, expected) => {
    expect(scan(source).imports.map(({ specifier }) => specifier)).toEqual(expected);
  });

  it.each([
    ["import type { A } from './a.ts';", true],
    ["export type * from './a.ts';", true],
    ["import { type A } from './a.ts';", false],
    ["import './a.ts';", false],
    ["import {\n  type,\n} from './a.ts';", false],
  ])('knows whether %j is for types alone: %j', (source, typeOnly) => {
    expect(scan(source).imports).toEqual([{ specifier: './a.ts', typeOnly }]);
  });

  it.each([
    ["a('process.exit()')", 'a("0")'],
    ['a(`process.exit()`)', 'a(``)'],
    ['a(`${process.pid}`)', 'a(`` (process.pid) )'],
    ['a(/process.exit/)', 'a("")'],
    ['a() // process.exit()', 'a()  '],
  ])('keeps of %j the code %j', (source, expected) => {
    expect(scan(source).code).toBe(expected);
  });
});
