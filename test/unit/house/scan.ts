/** What the rules of the house want to know about a source file. */
export interface Scan {
  /** Imports, re-exports and dynamic imports, in order. */
  readonly imports: readonly Import[];
  /** The text with comments, strings and regular expressions blanked out; code inside templates is kept. */
  readonly code: string;
}

export interface Import {
  readonly specifier: string;
  /** Erased before anything runs. */
  readonly typeOnly: boolean;
}

const QUOTED = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/y;
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y;
const REGEX = /\/(?![*/])(?:[^\\/[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
/** A slash after one of these begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|case|typeof|of|in|await|yield|throw))$/;
const IMPORT = /\b(?:import|export)\b[^;"]*?\bfrom\s*"(\d+)"|\bimport\s*\(?\s*"(\d+)"/g;

/**
 * A reader of TypeScript that is only as clever as the rules need: TypeScript 7 has no compiler API to ask. Every string
 * becomes its number in quotes, so that no text inside strings can be taken for code.
 */
export function scan(source: string): Scan {
  const strings: string[] = [];
  const code = scanCode(source, 0, strings).code;
  const imports = [...code.matchAll(IMPORT)].map(([text, from, bare]) => ({
    specifier: strings[Number(from ?? bare)] ?? '',
    typeOnly: /^(?:import|export)\s+type\b/.test(text),
  }));
  return { imports, code };
}

/** Reads from `start` to the end, or to the brace that closes a template's expression. */
function scanCode(source: string, start: number, strings: string[]): { code: string; end: number } {
  let code = '';
  let depth = 0;
  let at = start;
  while (at < source.length) {
    const char = source.charAt(at);
    const token = char === '/' || char === "'" || char === '"' ? tokenAt(source, at, code) : null;
    if (token !== null) {
      if (char !== '/') code += `"${strings.push(token.slice(1, -1)) - 1}"`;
      else code += token.startsWith('//') || token.startsWith('/*') ? ' ' : '""';
      at += token.length;
    } else if (char === '`') {
      const template = scanTemplate(source, at + 1, strings);
      code += template.code;
      at = template.end;
    } else {
      if (char === '{') depth++;
      if (char === '}' && --depth < 0) return { code, end: at };
      code += char;
      at++;
    }
  }
  return { code, end: at };
}

/** A template's text is dropped, its expressions are kept. */
function scanTemplate(source: string, start: number, strings: string[]): { code: string; end: number } {
  let code = '``';
  let at = start;
  while (at < source.length && source[at] !== '`') {
    if (source[at] === '\\') at += 2;
    else if (source.startsWith('${', at)) {
      const expression = scanCode(source, at + 2, strings);
      code += ` (${expression.code}) `;
      at = expression.end + 1;
    } else at++;
  }
  return { code, end: at + 1 };
}

function tokenAt(source: string, at: number, before: string): string | null {
  for (const pattern of [QUOTED, COMMENT, REGEX]) {
    if (pattern === REGEX && !BEFORE_REGEX.test(before.slice(-16).trimEnd())) continue;
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match !== null) return match[0];
  }
  return null;
}
