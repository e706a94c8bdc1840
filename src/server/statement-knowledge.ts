import type { ScanMode, StatementPort } from '../session/ports.ts';
import type { Catalog } from '../sql/catalog.ts';
import { opaqueFacts } from '../sql/classify.ts';
import type { Facts } from '../sql/facts.ts';
import type { SettingCode } from '../sql/setting-code.ts';
import { StatementCache } from '../sql/statement-cache.ts';
import type { CatalogLoader } from '../topology/catalog-loader.ts';

/** What the process knows of statements, for the sessions of each database. */
export class StatementKnowledge {
  readonly catalogs: CatalogLoader;
  readonly cache = new StatementCache();
  /** DDL passed that other processes do not see. */
  readonly changed: (database: string) => void;
  lookups = 0;
  learned = 0;

  constructor(catalogs: CatalogLoader, changed: (database: string) => void) {
    this.catalogs = catalogs;
    this.changed = changed;
  }

  /** For metrics. */
  get usage(): { readonly entries: number; readonly hits: number; readonly misses: number } {
    const { entries, misses } = this.cache.usage;
    return { entries, misses, hits: Math.max(0, this.lookups - misses) };
  }

  of(database: string): StatementPort {
    return new DatabaseStatements(this, database);
  }
}

/** A class, so that all sessions' are of one kind: they are asked with every query. */
class DatabaseStatements implements StatementPort {
  readonly #knowledge: StatementKnowledge;
  readonly #database: string;
  readonly opaque = opaqueFacts;

  constructor(knowledge: StatementKnowledge, database: string) {
    this.#knowledge = knowledge;
    this.#database = database;
  }

  get generation(): number {
    return this.#knowledge.learned;
  }

  catalog(): Catalog {
    return this.#knowledge.catalogs.catalogFor(this.#database);
  }

  facts(text: string, catalog: Catalog, scan: ScanMode): Facts {
    this.#knowledge.lookups++;
    return this.#knowledge.cache.facts(text, catalog, scan);
  }

  learn(text: string, sqlstate: string): void {
    this.#knowledge.learned++;
    this.#knowledge.cache.learn(text, this.catalog(), sqlstate);
  }

  catalogChanged(): void {
    this.#knowledge.catalogs.refresh(this.#database);
    this.#knowledge.changed(this.#database);
  }

  settingCode(): SettingCode | null {
    return this.#knowledge.catalogs.settingCodeOf(this.#database);
  }

  learnsSettingCode(): (code: SettingCode) => void {
    return this.#knowledge.catalogs.learnsSettingCode(this.#database);
  }
}
