import { inspect } from 'node:util';

/** What the Node programs share: the form of what they print (see ../transcript.ts). */
export function say(...seen: readonly unknown[]): void {
  const shown = seen.map((thing) => (typeof thing === 'string' ? thing : inspect(thing, { breakLength: Infinity, depth: 6 })));
  console.log(`: ${shown.join(' ').replaceAll('\n', ' | ')}`);
}

export function place(port: unknown, statement: string): void {
  console.log(`@ ${port} ${statement}`);
}

/** Runs an idiom to its end. */
export async function idiom(name: string, show: () => Promise<void>): Promise<void> {
  console.log(`= ${name}`);
  try {
    await show();
  } catch (error) {
    console.log(`! ${String(error instanceof Error ? error.stack : error).replaceAll('\n', ' | ')}`);
  }
}

/** Says which error a promise ends with, by what PostgreSQL said. */
export async function failing(promise: PromiseLike<unknown>): Promise<void> {
  try {
    say('no error:', await promise);
  } catch (error) {
    const { code, message, detail, position, constraint, constraint_name } = error as Record<string, unknown>;
    say(code, message, detail, position, constraint ?? constraint_name);
  }
}

export const WHERE = "SELECT current_setting('port')::int AS port";

/** Texts that fail, each in its own way. */
export const FAILING: readonly string[] = [
  'SELEC 1',
  'SELECT 1/0',
  'SELECT * FROM nosuch',
  "INSERT INTO tea VALUES (1, 'x', 1)",
  "INSERT INTO tea VALUES (1000, 'x', -1)",
  "SELECT 'x'::int",
  "DO $$ BEGIN RAISE EXCEPTION 'own' USING DETAIL = 'd', ERRCODE = 'XY123'; END $$",
];

/** What Npgsql sends when a connection with prepared statements goes back to its pool. */
export const NPGSQL_RESET: readonly string[] = [
  'SET SESSION AUTHORIZATION DEFAULT',
  'RESET ALL',
  'CLOSE ALL',
  'UNLISTEN *',
  'SELECT pg_advisory_unlock_all()',
  'DISCARD SEQUENCES',
  'DISCARD TEMP',
];

export const SHOWN = [
  'application_name',
  'search_path',
  'statement_timeout',
  'work_mem',
  'client_encoding',
  'DateStyle',
  'TimeZone',
];
