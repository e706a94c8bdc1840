import { decodeShortValues } from '../protocol/frontend-decoders.ts';
import type { Facts } from '../sql/facts.ts';
import type { SettingCode } from '../sql/setting-code.ts';
import { combinedNames, SettingMentions } from '../sql/setting-names.ts';
import type { ClientMessage, Work } from './work.ts';

/** What statements say that may change settings of any name. */
export interface Said {
  readonly texts: Set<string>;
  /** Of parameters, if short. */
  readonly values: Set<string>;
}

/** Longer values are no names of settings, nor parts of one. */
const MAX_VALUE_BYTES = 127;
/** Of one work. Ours. */
const MAX_VALUES = 64;
/** That are told apart, until settings are asked for next. Ours. */
const MAX_TEXTS = 16;
/** Of each text, with its parameters. Ours. */
const MAX_WORDS = 1024;
/** Longer texts are not looked through. Ours: some milliseconds. */
const MAX_TEXT_CHARACTERS = 256 * 1024;
/** Names from one question to the next. Ours. */
const MAX_NAMES = 512;

/** To be called with the facts of a text that the work runs. */
export function noteText(work: Work, facts: Facts, text: string): void {
  if (mayChangeAnySetting(facts)) saidBy(work).texts.add(text);
}

/** To be called with a Bind whose statement is known. */
export function noteBind(work: Work, { statement, buffer, start, end }: ClientMessage): void {
  if (statement === null || !work.facts.some(mayChangeAnySetting)) return;
  const { texts, values } = saidBy(work);
  texts.add(statement.text);
  if (values.size >= MAX_VALUES) return;
  for (const value of decodeShortValues(buffer, start, end, MAX_VALUE_BYTES, MAX_VALUES)) values.add(value);
}

function mayChangeAnySetting({ residue }: Facts): boolean {
  return residue.size > 0 && (residue.has('unknown') || residue.has('settings'));
}

function saidBy(work: Work): Said {
  work.said ??= { texts: new Set(), values: new Set() };
  return work.said;
}

/**
 * Settings with a name of their own that statements of the session may have changed since settings were last asked for: which
 * names to ask for, and whether there may be one that nobody can name.
 */
export class CustomSettings {
  /** By text; of those beyond a bound, together under ''. */
  #said = new Map<string, SettingMentions>();

  /** What has run. */
  add({ texts, values }: Said): void {
    for (const text of texts) {
      const said = this.#saidBy(text);
      for (const value of values) if (said.words.size < MAX_WORDS) said.readValue(value);
    }
  }

  /** It was rolled back. */
  forget(): void {
    this.#said.clear();
  }

  /** What to ask for, and how to judge the answer, given the `code` of the database. What was said is forgotten. */
  take(code: SettingCode): Inquiry {
    const said = this.#said;
    this.#said = new Map();
    const makers: Maker[] = [];
    const candidates = new Set<string>();
    for (const mentions of said.values()) {
      const named = namedBy(mentions, code);
      for (const name of named) candidates.add(name);
      if (mayMakeNames(mentions, code)) makers.push({ named, words: mentions.words });
    }
    for (const name of code.names) candidates.add(name);
    const bounded = candidates.size <= MAX_NAMES ? candidates : new Set([...candidates].slice(0, MAX_NAMES));
    return { candidates: bounded, makers, said };
  }

  /** The question was not answered. */
  putBack({ said }: Inquiry): void {
    for (const [text, mentions] of said) if (!this.#said.has(text)) this.#said.set(text, mentions);
  }

  #saidBy(text: string): SettingMentions {
    const key = this.#said.size < MAX_TEXTS || this.#said.has(text) ? text : '';
    const known = this.#said.get(key);
    if (known !== undefined && key !== '') return known;
    const said = known ?? new SettingMentions();
    this.#said.set(key, said);
    // Of a longer text only the beginning is looked through, and what it runs is not known.
    if (text.length > MAX_TEXT_CHARACTERS) said.identifiers.add(RUNS_TEXT);
    said.read(text.slice(0, MAX_TEXT_CHARACTERS));
    return said;
  }
}

/** SQL's EXECUTE, and that of PL/pgSQL, run what is said elsewhere. */
const RUNS_TEXT = 'execute';

function mayMakeNames(said: SettingMentions, { makers, complete }: SettingCode): boolean {
  if (said.makesNames || !complete) return true;
  if (makers.size > 0 && said.identifiers.has(RUNS_TEXT)) return true;
  for (const maker of makers.keys()) if (said.identifiers.has(maker)) return true;
  return false;
}

/** By the text, by its words behind a beginning that code uses, and by functions that it calls for those that they call. */
function namedBy(said: SettingMentions, { prefixes, makers }: SettingCode): Set<string> {
  const named = new Set(said.names);
  for (const beginnings of [prefixes, said.prefixes]) for (const name of combinedNames(beginnings, said.words)) named.add(name);
  for (const [maker, made] of makers) if (said.identifiers.has(maker)) for (const name of made) named.add(name);
  return named;
}

/** A statement that may set what only the code that it runs can name. */
export interface Maker {
  /** The names that it can have spoken of; one of them exists if it has. */
  readonly named: ReadonlySet<string>;
  /** Settings of PostgreSQL, perhaps. */
  readonly words: ReadonlySet<string>;
}

export interface Inquiry {
  /** Names to ask for. */
  readonly candidates: ReadonlySet<string>;
  readonly makers: readonly Maker[];
  /** What it was made of, by text. */
  readonly said: ReadonlyMap<string, SettingMentions>;
}
