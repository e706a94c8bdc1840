import { type Change, diffConfigs } from './diff.ts';
import type { Problem } from './problem.ts';
import type { Config } from './settings.ts';
import type { Validation } from './validate.ts';

/** What became of a reload. Unless it is `applied`, everything stays as it was. */
export type Reload =
  | { readonly kind: 'applied'; readonly changes: readonly Change[] }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] }
  /** Nothing else is wrong, but these changes need a restart; none of the changes is applied. */
  | { readonly kind: 'needs restart'; readonly changes: readonly Change[] }
  | { readonly kind: 'failed'; readonly error: unknown };

/** Holds the configuration in force, and replaces it as a whole or not at all. */
export class ConfigStore {
  #current: Config;
  readonly #load: () => Validation;
  readonly #apply: (config: Config) => Promise<void>;
  /** The last reload asked for: each starts when the one before it is over. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param load reads the configuration anew.
   * @param apply puts it in force, or throws and leaves everything as it was. It is called without changes too, since
   *   files that the configuration names, such as certificates, may have new content.
   */
  constructor(initial: Config, load: () => Validation, apply: (config: Config) => Promise<void>) {
    this.#current = initial;
    this.#load = load;
    this.#apply = apply;
  }

  current(): Config {
    return this.#current;
  }

  /** Never rejects. */
  reload(): Promise<Reload> {
    const reload = this.#last.then(() => this.#reloadNow());
    this.#last = reload;
    return reload;
  }

  async #reloadNow(): Promise<Reload> {
    try {
      const validation = this.#load();
      if (validation.kind === 'invalid') return validation;
      const changes = diffConfigs(this.#current, validation.config);
      const restarts = changes.filter(({ restart }) => restart);
      if (restarts.length > 0) return { kind: 'needs restart', changes: restarts };
      await this.#apply(validation.config);
      this.#current = validation.config;
      return { kind: 'applied', changes };
    } catch (error) {
      return { kind: 'failed', error };
    }
  }
}
