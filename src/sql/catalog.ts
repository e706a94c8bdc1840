import type { ObjectName } from './findings.ts';
import type { Verdict } from './verdict.ts';

/**
 * What one database has besides PostgreSQL's own objects: immutable, made by `catalog-rows.ts`, replaced as a whole when
 * it is loaded again. Names are byte-as-char, as they stand in the text of a client whose encoding is UTF-8; in other
 * encodings names beyond ASCII are not found, which makes them unknown, which is safe.
 */
export interface Catalog {
  /** False until the database has been asked: then user functions are unknown and user tables are taken for plain. */
  readonly loaded: boolean;
  readonly database: string;
  /** Differs between two catalogs of one database. */
  readonly version: number;
  /** DDL runs functions of this database. */
  readonly hasEventTriggers: boolean;
  /** Any function of this name outside pg_catalog; without a schema, of all schemas together. Null if there is none. */
  userFunction(name: ObjectName): Verdict | null;
  /** Any relation of this name; without a schema, of all schemas together. Null if there is none. */
  relation(name: ObjectName): RelationKnowledge | null;
  /** Every relation of this name has at most one row for given values of these columns. */
  isKey(name: ObjectName, columns: ReadonlySet<string>): boolean;
  /** An operator of this name is implemented by a volatile function. */
  isVolatileOperator(name: string): boolean;
  /** A cast to a type of this name, or the check of that domain, runs a volatile function. */
  isVolatileType(name: ObjectName): boolean;
  /** `row.name` calls a volatile function of this name when the row has no such column. */
  isVolatileField(name: string): boolean;
}

export interface RelationKnowledge {
  /** What reading it means, with everything below it: views, policies, partitions. */
  readonly reading: Verdict;
  /** Writing to it runs functions of this database: triggers, rules, defaults, also those of what it cascades to. */
  readonly runsCodeOnWrite: boolean;
}

/** Before the first load, and for explaining a statement without a cluster. */
export const unloadedCatalog: Catalog = {
  loaded: false,
  database: '',
  version: 0,
  hasEventTriggers: true,
  userFunction: () => null,
  relation: () => null,
  isKey: () => false,
  isVolatileOperator: () => false,
  isVolatileType: () => false,
  isVolatileField: () => false,
};
