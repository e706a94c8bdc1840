/** What every driver's program shows, in this order; a driver that cannot do one says why in the table of drivers. */
export const IDIOMS = [
  'autocommit',
  'transactions',
  'read-only transactions',
  'savepoints',
  'prepared statements',
  'copy',
  'listen',
  'cancel',
  'types',
  'cursors',
  'pool return',
  'options',
  'pipelining',
  'errors',
  // PostgreSQL refuses a prepared statement whose columns have changed (0A000), pgweir may prepare it anew unseen: what counts is
  // that the rows are right, so programs ask again where their driver does not.
  'changed tables',
] as const;
export type Idiom = (typeof IDIOMS)[number];

/** Statements whose place a program asks of the database, and where pgweir sends them by default. */
export const PLACES = {
  'autocommit read': 'replica',
  'prepared read': 'replica',
  'read in a transaction': 'primary',
  'read in a read-only transaction': 'replica',
  'read in a read-only session': 'replica',
  'pipelined read': 'replica',
  write: 'primary',
} as const;
export type Statement = keyof typeof PLACES;

export function isIdiom(name: string): name is Idiom {
  return IDIOMS.some((idiom) => idiom === name);
}

export function isStatement(name: string): name is Statement {
  return name in PLACES;
}
