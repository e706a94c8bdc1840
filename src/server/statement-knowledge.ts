import type { StatementPort } from '../session/ports.ts';
import { opaqueFacts } from '../sql/classify.ts';
import { StatementCache } from '../sql/statement-cache.ts';
import type { CatalogLoader } from '../topology/catalog-loader.ts';

/** What the process knows of statements, for the sessions of each database. */
export class StatementKnowledge {
  readonly #catalogs: CatalogLoader;
  readonly #changed: (database: string) => void;
  readonly #cache = new StatementCache();
  #lookups = 0;
  #learned = 0;

  /** @param changed DDL passed that other processes do not see */
  constructor(catalogs: CatalogLoader, changed: (database: string) => void) {
    this.#catalogs = catalogs;
    this.#changed = changed;
  }

  /** For metrics. */
  get usage(): { readonly entries: number; readonly hits: number; readonly misses: number } {
    const { entries, misses } = this.#cache.usage;
    return { entries, misses, hits: Math.max(0, this.#lookups - misses) };
  }

  of(database: string): StatementPort {
    const knowledge = this;
    const catalogs = this.#catalogs;
    const cache = this.#cache;
    return {
      get generation() {
        return knowledge.#learned;
      },
      catalog: () => catalogs.catalogFor(database),
      facts: (text, catalog, scan) => {
        knowledge.#lookups++;
        return cache.facts(text, catalog, scan);
      },
      opaque: opaqueFacts,
      learn: (text, sqlstate) => {
        knowledge.#learned++;
        cache.learn(text, catalogs.catalogFor(database), sqlstate);
      },
      catalogChanged: () => {
        catalogs.refresh(database);
        knowledge.#changed(database);
      },
      settingCode: () => catalogs.settingCodeOf(database),
      learnsSettingCode: () => catalogs.learnsSettingCode(database),
    };
  }
}
