import type { Credential } from '../auth/credential.ts';
import { SettingsSet } from '../util/settings-set.ts';

/** What connections are told at login, and by which they are told apart. */
export interface PartitionKey {
  readonly user: string;
  readonly database: string;
  /** Startup parameters that connections are opened with, but for the application's name. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Connections that are interchangeable: same user, database and startup parameters. Startup parameters tell connections
 * apart, rather than travel with the session as later settings do, because they are what RESET returns to.
 *
 * `application_name` is the exception: it differs between instances of one application, so it travels.
 */
export class Partition {
  readonly user: string;
  readonly database: string;
  readonly parameters: ReadonlyMap<string, string>;
  /** What the last client that logged in has proven; used to open connections. */
  credential: Credential;
  applicationName: string;
  /** Its clients ask for currval() or lastval(). */
  sequenceValuesAsked = false;
  /** What a backend reported at the last login of this partition; null before the first. */
  reported: ReadonlyMap<string, string> | null = null;

  constructor(key: PartitionKey, credential: Credential, applicationName: string) {
    this.user = key.user;
    this.database = key.database;
    this.parameters = key.parameters;
    this.credential = credential;
    this.applicationName = applicationName;
  }

  /** The parameters of a startup packet, and the settings that a connection has after it. */
  startup(): { readonly parameters: ReadonlyMap<string, string>; readonly settings: SettingsSet } {
    const parameters = new Map(this.parameters);
    parameters.set('application_name', this.applicationName);
    return { parameters, settings: settingsAtStart(this.applicationName) };
  }
}

/** Settings of a session that has changed none. */
export function settingsAtStart(applicationName: string): SettingsSet {
  return SettingsSet.of(new Map([['application_name', applicationName]]));
}

/** Finds the partition of a login. Partitions without a session and without a connection are forgotten by `sweep`. */
export class Partitions {
  readonly #byKey = new Map<string, Partition>();

  get(key: PartitionKey, credential: Credential, applicationName: string): Partition {
    const text = JSON.stringify([key.user, key.database, [...key.parameters].sort(([a], [b]) => (a < b ? -1 : 1))]);
    let partition = this.#byKey.get(text);
    if (partition === undefined) {
      partition = new Partition(key, credential, applicationName);
      this.#byKey.set(text, partition);
    }
    partition.credential = credential;
    partition.applicationName = applicationName;
    return partition;
  }

  /** Forgets partitions that nobody uses. */
  sweep(isUsed: (partition: Partition) => boolean): void {
    for (const [key, partition] of this.#byKey) if (!isUsed(partition)) this.#byKey.delete(key);
  }
}
