import type { ObjectName } from './findings.ts';
import { builtinFunction } from './functions.ts';
import {
  blockCommentEnd,
  classOf,
  DOUBLE_QUOTE,
  IDENTIFIER,
  lexemeEnd,
  lineCommentEnd,
  QUOTE,
  quotedIdentifierEnd,
  stringEnd,
  wordEnd,
} from './lexemes.ts';
import type { Verdict } from './verdict.ts';

/**
 * Which trigger functions certainly leave nothing on a connection, so that a write which fires them needs no question
 * afterwards: `NEW.updated_at = now(); RETURN NEW;` and its kind. Certain means: PL/pgSQL without any SQL command, which
 * calls only functions that are known to leave nothing. Whatever is not understood is not quiet.
 */

/** What the code may see of the database. */
export interface Surroundings {
  /** Names that call a volatile function when written as `row.name`. */
  readonly fields: ReadonlySet<string>;
  userFunction(name: ObjectName): Verdict | null;
}

/** Words that begin a command, or make one possible, in PL/pgSQL. */
const COMMANDS: ReadonlySet<string> = new Set(
  `alter analyze call checkpoint close cluster comment commit copy create cursor deallocate delete discard do drop execute
   explain fetch grant import insert into listen load lock merge move notify open perform prepare query reassign refresh
   reindex release reset revoke rollback savepoint security select set show table truncate unlisten update vacuum values with`.split(
    /\s+/,
  ),
);

/** Words before a parenthesis that call nothing. */
const BEFORE_PARENTHESIS: ReadonlySet<string> = new Set(
  `all and any between by case cast coalesce declare distinct else elsif elseif exit extract from greatest if in int is least
   like ilike loop not null nullif numeric or return row similar some then to varchar when while char character decimal`.split(
    /\s+/,
  ),
);

/** `source` and all names are byte-as-char. */
export function isQuiet(code: { readonly language: string; readonly source: string }, surroundings: Surroundings): boolean {
  if (code.language !== 'plpgsql') return false;
  const { source } = code;
  /** The character before the word, blanks aside: a dot qualifies it. */
  let before = '';
  let qualifier = '';
  let i = 0;
  while (i < source.length) {
    const start = i;
    switch (classOf(source.charCodeAt(i))) {
      case IDENTIFIER: {
        i = wordEnd(source, i);
        const word = source.slice(start, i).toLowerCase();
        if (
          source[i] === "'" ||
          !isQuietWord(word, { qualified: before === '.', qualifier, called: isCalled(source, i) }, surroundings)
        )
          return false;
        qualifier = word;
        before = 'a';
        continue;
      }
      case DOUBLE_QUOTE:
        i = quotedIdentifierEnd(source, i);
        if (isCalled(source, i)) return false;
        qualifier = '"';
        before = 'a';
        continue;
      case QUOTE:
        i = stringEnd(source, i, false);
        // A backslash may escape the quote, if the function was made without standard_conforming_strings.
        if (source.slice(start, i).includes('\\')) return false;
        break;
      default:
        i = lexemeEnd(source, i);
    }
    const last = source[start] ?? '';
    if (last.trim() !== '') before = last;
  }
  return i === source.length;
}

/** What follows, behind blanks and comments, is an opening parenthesis. */
function isCalled(source: string, end: number): boolean {
  let i = end;
  for (;;) {
    while (source.charCodeAt(i) <= 32) i += 1;
    if (source.startsWith('--', i)) i = lineCommentEnd(source, i);
    else if (source.startsWith('/*', i)) i = blockCommentEnd(source, i);
    else return source[i] === '(';
  }
}

interface Place {
  readonly qualified: boolean;
  readonly qualifier: string;
  readonly called: boolean;
}

function isQuietWord(word: string, { qualified, qualifier, called }: Place, surroundings: Surroundings): boolean {
  if (qualified && surroundings.fields.has(word)) return false;
  if (!qualified && COMMANDS.has(word)) return false;
  if (!called || (!qualified && BEFORE_PARENTHESIS.has(word))) return true;
  if (qualified && qualifier !== 'pg_catalog') return false;
  const builtin = builtinFunction(word);
  const user = qualified ? null : surroundings.userFunction({ schema: null, name: word });
  if (builtin === null && user === null) return false;
  return (builtin === null || leavesNothing(word, builtin)) && (user === null || user.effect === 'read');
}

/** Sequence values are the session's own business wherever they come from. */
function leavesNothing(name: string, builtin: Verdict): boolean {
  return builtin.effect === 'read' || name === 'nextval' || name === 'pg_notify';
}
