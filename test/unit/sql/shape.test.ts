import fc from 'fast-check';
import { loadModule, type ScanToken, scanSync } from 'libpg-query';
import { beforeAll, describe, expect, it } from 'vitest';
import { classify } from '../../../src/sql/classify.ts';
import { loadParser } from '../../../src/sql/parser.ts';
import { HINT_SEPARATOR, shapeOf } from '../../../src/sql/shape.ts';
import { readCorpus, wireText } from './corpus.ts';

const CASES: readonly (readonly [string, string])[] = [
  ['', ''],
  ['SELECT a', 'SELECT a'],
  ['SELECT 42', 'SELECT 1'],
  ["SELECT 'it''s'", "SELECT 'x'"],
  ["SELECT 'a' 'b'", "SELECT 'x' 'x'"],
  ["SELECT 'a'\n  'b'", "SELECT 'x'"],
  ["SELECT 'a' -- remark\n 'b'", "SELECT 'x'"],
  ["SELECT E'a\\'b'", "SELECT E'x'"],
  ["SELECT e'a\\\\'", "SELECT E'x'"],
  ["SELECT E'a'\n'b\\' c'", "SELECT E'x'"],
  ["SELECT u&E'a', ''E'b'", "SELECT u&E'x', 'x'E'x'"],
  ["SELECT 'a\\'", "SELECT 'x'"],
  ["SELECT B'101', X'1F', N'n'", "SELECT B'101', X'1F', N'n'"],
  ["SELECT U&'d!0061' UESCAPE '!'", "SELECT U&'d!0061' UESCAPE '!'"],
  ['SELECT U&"d\\0061"', 'SELECT U&"d\\0061"'],
  ['SELECT "a""b -- \'"', 'SELECT "a""b -- \'"'],
  ["SELECT $$it's$$, $a$ $$ $b$ $a$", 'SELECT $$x$$, $$x$$'],
  ['SELECT $\xe9$a$\xe9$', 'SELECT $$x$$'],
  ["SELECT $$a$$'b'", "SELECT $$x$$'x'"],
  ['SELECT a$b$c, $1, $23', 'SELECT a$b$c, $1, $23'],
  ['SELECT 1.5, .5, 5., 1e5, 1.5e-3', 'SELECT 1.1, .1, 1., 1e5, 1.5e-1'],
  ['SELECT 0x1F, 0o17, 0b1, 1_000, 12a', 'SELECT 0x1F, 0o17, 0b1, 1_000, 12a'],
  ['SELECT t1.c2, x-1, x - -2', 'SELECT t1.c2, x-1, x - -1'],
  ['SELECT a -- remark\n, b', 'SELECT a  \n, b'],
  ['SELECT a--remark', 'SELECT a '],
  ['SELECT a /* one /* two */ three */, b', 'SELECT a /**/, b'],
  ["SELECT 'a'\n/* remark */'b'", "SELECT 'x'\n/**/'x'"],
  ['SELECT a <--remark\n b', 'SELECT a < \n b'],
  ['SELECT a */* remark */ b', 'SELECT a */**/ b'],
  ["SELECT 'open", "SELECT 'open"],
  ['SELECT 7, "open', 'SELECT 1, "open'],
  ['SELECT 7 /* open /* */', 'SELECT 1 /* open /* */'],
  ['SELECT 7, $$open', 'SELECT 1, $$open'],
  ['x IN (1, 2,3)', 'x IN (1)'],
  ["x in ('a','b', $3)", "x in ('x',$1)"],
  ["x IN (1, 'a', 2)", "x IN (1,'x',1)"],
  ['x IN (1, -2, NULL, TRUE)', 'x IN (1,-1,NULL,TRUE)'],
  ["x IN ('a'::uuid, 'b'::uuid)", "x IN ('x'::uuid)"],
  ['x IN (f(1), 2)', 'x IN (f(1), 1)'],
  ['x IN (SELECT 5)', 'x IN (SELECT 1)'],
  ['x IN ()', 'x IN ()'],
  ['x IN (1, 2', 'x IN (1, 1'],
  ['x IN (1 + 2)', 'x IN (1 + 1)'],
  ['ARRAY[1, 2, 3]', 'ARRAY[1]'],
  ['array[[1,2],[3,4]]', 'array[[1,1],[1,1]]'],
  ["VALUES (1, 'a'), (2, 'b')", "VALUES (1,'x')"],
  ["VALUES (1, 'a'), (2, NULL), (3, 'c')", "VALUES (1,'x'), (1, NULL), (1, 'x')"],
  ['VALUES ($1, $2), ($3, $4) RETURNING id', 'VALUES ($1,$1) RETURNING id'],
  ['VALUES (1, 2), (f(3), 4)', 'VALUES (1,1), (f(1), 1)'],
  ['invalues (1, 2)', 'invalues (1, 1)'],
];

/** What counts of a token: its kind, and its text where that is not a literal's. */
function tokens(text: string): string[] {
  return scanSync(text)
    .tokens.filter((token) => token.tokenName !== 'SQL_COMMENT' && token.tokenName !== 'C_COMMENT')
    .map((token) => (token.tokenName === 'SCONST' || token.tokenName === 'ICONST' ? token.tokenName : kindAndText(token, text)));
}

function kindAndText(token: ScanToken, text: string): string {
  if (token.tokenName === 'FCONST') return 'FCONST';
  return `${token.tokenName} ${Buffer.from(text, 'utf8').subarray(token.start, token.end).toString('utf8')}`;
}

const withoutHints = (shape: string): string => shape.split(HINT_SEPARATOR, 1)[0] ?? '';

/** Pieces out of which hostile and ordinary texts are put together. */
const piece = fc.constantFrom(
  ...[
    "'",
    "''",
    '"',
    '$$',
    '$a$',
    '$1',
    'E',
    "E'",
    'U&',
    "B'",
    '\\',
    "\\'",
    '--',
    '/*',
    '*/',
    '/',
    '-',
    '*',
    '<',
    '=',
    '\n',
    ' ',
    '\t',
  ],
  ...[
    '(',
    ')',
    '[',
    ']',
    ',',
    ';',
    ':',
    '::',
    '.',
    '1',
    '0x1F',
    '1.5',
    '1e5',
    'a',
    'select',
    'SELECT',
    'from',
    'é',
    '_',
    '$',
    '&',
    '!',
  ],
);
const soup = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

describe('the shape of a text', () => {
  beforeAll(async () => {
    await loadModule();
    await loadParser();
  });

  it.each(CASES)('of %j is %j', (text, shape) => {
    expect(shapeOf(text)).toBe(shape);
  });

  it('keeps hints apart and empties other comments', () => {
    expect(shapeOf('/* pgweir: route=primary */ SELECT 1')).toBe(`/**/ SELECT 1${HINT_SEPARATOR} pgweir: route=primary `);
    expect(shapeOf("/* traceparent='00-1' */ SELECT 1")).toBe(shapeOf("/* traceparent='00-2' */ SELECT 2"));
  });

  it('has the tokens of the text, for every text of the corpus that PostgreSQL can scan', () => {
    let compared = 0;
    for (const { text } of readCorpus().texts) {
      if (/\b(?:in|values|array)\b/i.test(text) || /unterminated|1a/.test(text)) continue;
      expect(tokens(withoutHints(shapeOf(text))), text).toEqual(tokens(text));
      compared += 1;
    }
    expect(compared).toBeGreaterThan(500);
  });

  it('has the tokens of the text, for whatever PostgreSQL can scan', () => {
    let compared = 0;
    fc.assert(
      fc.property(soup, (text) => {
        const expected = scanned(text);
        if (expected === null) return;
        compared += 1;
        expect(scanned(withoutHints(shapeOf(text)))).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
    expect(compared).toBeGreaterThan(500);
  });

  it('is its own shape', () => {
    fc.assert(
      fc.property(soup, (text) => {
        const shape = withoutHints(shapeOf(text));
        expect(withoutHints(shapeOf(shape))).toBe(shape);
      }),
      { numRuns: 2000 },
    );
  });

  it('is the same for every value of every literal in the corpus', () => {
    for (const { text } of readCorpus().texts) {
      if (!text.includes("'") || /unterminated|uescape|U&|B'|X'|N'|0x|unterminated/i.test(text)) continue;
      const other = withOtherLiterals(text);
      expect(shapeOf(other), other).toBe(shapeOf(text));
    }
  });

  it('is classified like the text wherever no literal matters', () => {
    for (const { text } of readCorpus().texts) {
      const wire = wireText(text);
      const own = classify(wire);
      const shape = classify(withoutHints(shapeOf(wire)));
      if (own.kind === 'opaque') expect(shape, text).toEqual(own);
      else if (!own.findings.literalMatters) expect(shape, text).toEqual(own);
      else expect(shape.kind === 'findings' && shape.findings.literalMatters, text).toBe(true);
    }
  });

  it('is found for any bytes at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(typeof shapeOf(Buffer.from(bytes).toString('latin1'))).toBe('string');
      }),
    );
  });

  it.each([
    ['nested comments', '/*'.repeat(500_000)],
    ['closed nested comments', `${'/*'.repeat(250_000)}${'*/'.repeat(250_000)}`],
    ['quotes', "'".repeat(1_000_001)],
    ['dollar signs', '$'.repeat(1_000_000)],
    ['dollar tags', '$a'.repeat(500_000)],
    ['parentheses', '('.repeat(1_000_000)],
    ['lists in lists', 'in ('.repeat(250_000)],
    ['a list without an end', `x IN (${'1,'.repeat(500_000)}`],
    ['arrays in arrays', 'array['.repeat(150_000)],
    ['rows without an end', `VALUES ${'(1,2),'.repeat(150_000)}`],
    ['continued strings', "'a'\n".repeat(200_000)],
    ['strings that are not continued', "'a' ".repeat(250_000)],
    ['line comments', '--\n'.repeat(300_000)],
    ['quotes after uescape', "uescape'a'".repeat(100_000)],
    ['one word', 'a'.repeat(1_000_000)],
  ])('takes linear time for %s', (_what, text) => {
    const start = performance.now();
    shapeOf(text);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

function scanned(text: string): string[] | null {
  // Strings with a comment between them are one literal, which libpg_query's scan (not its parser) takes for two.
  if (/--.*\s*'/.test(text)) return null;
  try {
    return text === '' ? [] : tokens(text);
  } catch {
    return null;
  }
}

/** The text with another value in every string and every plain number. */
function withOtherLiterals(text: string): string {
  let changed = '';
  let end = 0;
  const source = Buffer.from(text, 'utf8');
  for (const token of scanSync(text).tokens) {
    const replacement = token.tokenName === 'SCONST' ? "'other; -- '' \\'" : token.tokenName === 'ICONST' ? '987' : null;
    if (replacement === null) continue;
    changed += source.subarray(end, token.start).toString('utf8') + replacement;
    end = token.end;
  }
  return changed + source.subarray(end).toString('utf8');
}
