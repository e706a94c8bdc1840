import { classOf, DASH, DOLLAR, DOUBLE_QUOTE, dollarQuoteEnd, IDENTIFIER, lexemeEnd, QUOTE, SLASH, wordEnd } from './lexemes.ts';

/**
 * What code says of settings with a name of their own (`app.tenant`). PostgreSQL lists them nowhere: who wants to know of one
 * must ask for it by name. So names are looked for wherever one may be given: in the texts and parameters of statements that
 * call functions, and in the bodies of functions. Nothing is parsed; what looks like a name is asked for, which costs little.
 *
 * A body may also make its name up (`'app.' || $1`, or a column of a table). Then the beginning, with the words of the
 * statement that called it, is tried; and of a statement whose name is not found like that it is known that there is one.
 */
export class SettingMentions {
  /** Qualified names, in lower case as PostgreSQL compares them (guc_name_compare). */
  readonly names = new Set<string>();
  /** What names are made from: `app.` of `'app.' || x`. */
  readonly prefixes = new Set<string>();
  /** Literals that may be a part of a name, or the name of a setting of PostgreSQL. */
  readonly words = new Set<string>();
  /** Every identifier, in lower case if it is not quoted: functions that may be called, tables that may be written to. */
  readonly identifiers = new Set<string>();
  #makesNames = false;
  /** A literal begins as SET does, and does not name what it sets. */
  #beginsSet = false;

  /** It sets, beyond the transaction, what is not named by a literal. */
  get makesNames(): boolean {
    return this.#makesNames || (this.#beginsSet && this.identifiers.has('execute'));
  }

  /** Takes down what a text says that is byte-as-char. */
  read(text: string): void {
    this.#read(tokensOf(text), 0);
  }

  /** Takes down the value of a parameter, or a literal without its quotes. */
  readValue(value: string): void {
    if (QUALIFIED.test(value)) this.names.add(value.toLowerCase());
    else if (WORD.test(value)) this.words.add(value.toLowerCase());
    else if (PREFIX.test(value)) this.prefixes.add(value.toLowerCase());
    else {
      const prefix = FORMAT.exec(value)?.[1];
      if (prefix !== undefined) this.prefixes.add(prefix.toLowerCase());
    }
  }

  #read(tokens: readonly Token[], depth: number): void {
    for (const [index, { kind, text }] of tokens.entries()) {
      if (kind === 'string') this.#literal(text, tokens[index + 1]?.text === '|' && tokens[index + 2]?.text === '|', depth);
      else if (kind === 'word') {
        this.identifiers.add(text);
        if (text === 'set') this.#set(tokens, index, depth > 0 && index === 0);
        else if (text === 'set_config' && tokens[index + 1]?.text === '(') this.#setConfig(argumentsAt(tokens, index + 1));
      }
    }
  }

  #literal(text: string, continued: boolean, depth: number): void {
    this.readValue(text);
    if (continued && QUALIFIED.test(text)) this.prefixes.add(text.toLowerCase());
    // A body, or a statement to be executed.
    if (depth < MAX_DEPTH && CODE.test(text)) this.#read(tokensOf(text), depth + 1);
  }

  /** `SET [SESSION] a.b`. @param executed it is the beginning of a text that is executed */
  #set(tokens: readonly Token[], index: number, executed: boolean): void {
    let at = index + 1;
    if (tokens[at]?.text === 'session') at++;
    if (tokens[at]?.text === 'local') return;
    let name = '';
    let complete = false;
    for (; tokens[at]?.kind === (complete ? 'other' : 'word') && (!complete || tokens[at]?.text === '.'); at++) {
      name += tokens[at]?.text ?? '';
      complete = !complete;
    }
    if (complete && QUALIFIED.test(name)) this.names.add(name.toLowerCase());
    else if (name.endsWith('.')) this.prefixes.add(name.toLowerCase());
    if (executed && !complete) this.#beginsSet = true;
  }

  #setConfig(args: readonly (readonly Token[])[] | null): void {
    const [name = [], , isLocal = []] = args ?? [];
    const forTransaction = isLocal.some(({ text }) => TRUE.test(text));
    const [first, ...rest] = name.filter(({ text }) => text !== 'setting_name' && text !== '=' && text !== '>');
    const isLiteral = first?.kind === 'string' && rest.every(({ kind, text }) => kind === 'word' || text === ':');
    if (!isLiteral && !forTransaction) this.#makesNames = true;
  }
}

/** Names that are tried where code makes them up of a beginning and a word. Ours. */
const MAX_COMBINED = 256;

/** The names that may come of these beginnings and those words. */
export function combinedNames(prefixes: Iterable<string>, words: ReadonlySet<string>): Set<string> {
  const names = new Set<string>();
  for (const prefix of prefixes) {
    for (const word of words) if (names.size < MAX_COMBINED) names.add(prefix + word);
  }
  return names;
}

/** Body in a body in a body. */
const MAX_DEPTH = 3;

/** Source: valid_custom_variable_name, guc.c; a name is an identifier, so no longer than this. */
const QUALIFIED = /^(?=.{3,127}$)[a-z_\x80-\xff][\w$\x80-\xff]*(\.[a-z_\x80-\xff][\w$\x80-\xff]*)+$/i;
const PREFIX = /^(?=.{2,127}$)[a-z_\x80-\xff][\w$\x80-\xff]*\.([\w$\x80-\xff]+\.)*$/i;
const FORMAT = /^(?:set\s+(?:session\s+)?)?([a-z_\x80-\xff][\w$\x80-\xff]{0,62}\.[\w$.\x80-\xff]{0,62})%/i;
const WORD = /^(?=.{1,63}$)[\w$\x80-\xff]+$/;
const CODE = /[\s(]/;
const TRUE = /^(t|true|on|yes|1)$/i;

interface Token {
  readonly kind: 'word' | 'string' | 'other';
  /** A word in lower case if it is not quoted, a literal without its quotes, otherwise one character. */
  readonly text: string;
}

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let end = 0;
  for (let start = 0; start < source.length; start = end) {
    end = lexemeEnd(source, start);
    const code = source.charCodeAt(start);
    switch (classOf(code)) {
      case IDENTIFIER:
        if (end === wordEnd(source, start)) tokens.push({ kind: 'word', text: source.slice(start, end).toLowerCase() });
        else tokens.push({ kind: 'string', text: unquoted(source.slice(start + 1, end)) });
        break;
      case QUOTE:
        tokens.push({ kind: 'string', text: unquoted(source.slice(start, end)) });
        break;
      case DOUBLE_QUOTE:
        tokens.push({ kind: 'word', text: source.slice(start + 1, end - 1).replaceAll('""', '"') });
        break;
      case DOLLAR: {
        const delimiter = source.indexOf('$', start + 1) + 1 - start;
        if (dollarQuoteEnd(source, start) < 0) tokens.push({ kind: 'other', text: '$' });
        else tokens.push({ kind: 'string', text: source.slice(start + delimiter, end - delimiter) });
        break;
      }
      case DASH:
      case SLASH:
        break;
      default:
        if (code > 32) tokens.push({ kind: 'other', text: source.charAt(start) });
    }
  }
  return tokens;
}

function unquoted(literal: string): string {
  return literal.slice(1, -1).replaceAll("''", "'");
}

/** The tokens of each argument behind the parenthesis at `open`; null if it is not closed, because the text goes on elsewhere. */
function argumentsAt(tokens: readonly Token[], open: number): Token[][] | null {
  const all: Token[][] = [[]];
  let depth = 0;
  for (let at = open + 1; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === undefined) break;
    if (token.kind === 'other') {
      if (token.text === ')' && depth-- === 0) return all;
      if (token.text === '(') depth++;
      if (token.text === ',' && depth === 0) {
        all.push([]);
        continue;
      }
    }
    all.at(-1)?.push(token);
  }
  return null;
}
