import type { Catalog } from './catalog.ts';
import { type Classification, classify, opaqueFacts } from './classify.ts';
import type { Facts, Hint } from './facts.ts';
import { Generations } from './generations.ts';
import { mergeHints, parseHint } from './hints.ts';
import { resolve } from './resolve.ts';
import { HINT_SEPARATOR, MAX_SCAN_CHARACTERS, shapeOf } from './shape.ts';

/**
 * How the text of a session may be read. `unsafe strings`: standard_conforming_strings is off, so a backslash may escape.
 * `unsafe encoding`: in the client's encoding a byte below 0x80 may be a part of a character.
 */
export type Scan = 'standard' | 'unsafe strings' | 'unsafe encoding';

export interface StatementCacheOptions {
  /** Shapes, and as many texts of which a literal matters. */
  readonly maxEntries: number;
  /** Estimated, for shapes and for texts each. */
  readonly maxBytes: number;
}

const DEFAULT_CACHE_OPTIONS: StatementCacheOptions = { maxEntries: 10_000, maxBytes: 32 * 1024 * 1024 };

/** Facts of one classification are kept for so many databases at once; a further one costs resolving again (about 1 us). */
const MAX_DATABASES = 16;

/**
 * Facts by text. On the way of every query: a hit costs the scan and one lookup. A miss costs a parse (20 to 100 us for
 * ordinary statements). One cache serves all databases of a process.
 */
export class StatementCache {
  readonly #shapes: Generations<Entry>;
  /** Texts whose shape does not tell: a literal matters, or only the text itself parses. */
  readonly #texts: Generations<Entry>;
  #misses = 0;

  constructor(options: StatementCacheOptions = DEFAULT_CACHE_OPTIONS) {
    this.#shapes = new Generations(options);
    this.#texts = new Generations(options);
  }

  /** For the metrics; `misses` counts parses since the start. */
  get usage(): { readonly entries: number; readonly bytes: number; readonly misses: number } {
    return {
      entries: this.#shapes.size + this.#texts.size,
      bytes: this.#shapes.bytes + this.#texts.bytes,
      misses: this.#misses,
    };
  }

  /** The facts of a byte-as-char text, of a simple query or of a Parse message. Never throws for any text. */
  facts(text: string, catalog: Catalog, scan: Scan): Facts {
    if (scan !== 'standard' && !isSafe(text, scan)) return opaqueFacts('encoding not safe to scan');
    if (text.length > MAX_SCAN_CHARACTERS) return opaqueFacts('text too long to parse');
    // It cannot come off the wire, and what stands behind it would not be looked at.
    if (text.includes(HINT_SEPARATOR)) return opaqueFacts('text does not parse');
    return this.#entry(text).facts(catalog);
  }

  /**
   * Remembers that a replica refused this text although it was classified as a read: from now on its shape goes to the
   * primary in this database, until the catalog changes. `sqlstate` becomes the facts' subject.
   */
  learn(text: string, catalog: Catalog, sqlstate: string): void {
    if (text.length <= MAX_SCAN_CHARACTERS && !text.includes(HINT_SEPARATOR)) this.#entry(text).learn(catalog, sqlstate);
  }

  #entry(text: string): Entry {
    const shape = shapeOf(text);
    const known = this.#shapes.get(shape) ?? this.#add(this.#shapes, shape, shape);
    if (!known.asksText) return known;
    return this.#texts.get(text) ?? this.#add(this.#texts, text, shape);
  }

  #add(cache: Generations<Entry>, text: string, shape: string): Entry {
    this.#misses += 1;
    const separator = text === shape ? shape.indexOf(HINT_SEPARATOR) : -1;
    const classification = classify(separator < 0 ? text : text.slice(0, separator));
    const entry = new Entry(classification, hintOf(shape));
    if (classification.kind === 'findings' || classification.lasting) cache.set(text, entry);
    return entry;
  }
}

function isSafe(text: string, scan: Scan): boolean {
  return scan === 'unsafe strings' ? !text.includes('\\') : /^[\0-\x7f]*$/.test(text);
}

function hintOf(shape: string): Hint | null {
  let hint: Hint | null = null;
  for (const comment of shape.split(HINT_SEPARATOR).slice(1)) hint = mergeHints(hint, parseHint(comment));
  return hint;
}

interface Resolved {
  readonly database: string;
  readonly version: number;
  readonly facts: Facts;
}

/** One classification, with its facts for the databases that asked last. */
class Entry {
  readonly #classification: Classification;
  readonly #hint: Hint | null;
  readonly #resolved: Resolved[] = [];
  #next = 0;

  constructor(classification: Classification, hint: Hint | null) {
    this.#classification = classification;
    this.#hint = hint;
  }

  /** The shape does not tell: the facts are the text's own. */
  get asksText(): boolean {
    return this.#classification.kind === 'opaque' || this.#classification.findings.literalMatters;
  }

  facts(catalog: Catalog): Facts {
    for (const resolved of this.#resolved) {
      if (resolved.database === catalog.database && resolved.version === catalog.version) return resolved.facts;
    }
    const facts = this.#resolve(catalog);
    this.#keep({ database: catalog.database, version: catalog.version, facts });
    return facts;
  }

  learn(catalog: Catalog, sqlstate: string): void {
    const facts: Facts = { ...this.#resolve(catalog), effect: 'unknown', reason: 'learned', subject: sqlstate };
    this.#keep({ database: catalog.database, version: catalog.version, facts });
  }

  #resolve(catalog: Catalog): Facts {
    if (this.#classification.kind === 'findings') return resolve(this.#classification.findings, catalog, this.#hint);
    const facts = opaqueFacts(this.#classification.reason);
    return this.#hint === null ? facts : { ...facts, hint: this.#hint };
  }

  #keep(resolved: Resolved): void {
    const same = this.#resolved.findIndex((other) => other.database === resolved.database);
    if (same >= 0) this.#resolved[same] = resolved;
    else if (this.#resolved.length < MAX_DATABASES) this.#resolved.push(resolved);
    else {
      this.#resolved[this.#next] = resolved;
      this.#next = (this.#next + 1) % MAX_DATABASES;
    }
  }
}
