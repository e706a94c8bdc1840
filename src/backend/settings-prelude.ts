import type { SettingsSet } from '../util/settings-set.ts';

/**
 * Brings a connection's settings from one set to another, as one simple query to be swallowed ahead of a statement that is
 * already behind it in the same write.
 *
 * That statement must not run if this fails (a role that was dropped, a value that this node refuses): it would run under
 * another role or search_path. So the query opens a transaction block first. If a SET in it fails, the rest is skipped and
 * the connection is left in the failed block, where PostgreSQL itself refuses everything behind it with 25P02, except what
 * ends the block: statements that begin with COMMIT or ROLLBACK must not be sent in the same write.
 *
 * READ COMMITTED is spelled out because a standby refuses to take a snapshot under `default_transaction_isolation =
 * serializable`.
 */
export function settingsPrelude(from: SettingsSet, to: SettingsSet): string {
  const reset: string[] = [];
  const set: string[] = [];
  for (const name of from.entries.keys()) {
    if (!to.entries.has(name) && !IDENTITY.has(name)) reset.push(`RESET ${quoteSettingName(name)}`);
  }
  for (const [name, value] of to.entries) {
    if (from.entries.get(name) === value || IDENTITY.has(name)) continue;
    const assignment = `SELECT pg_catalog.set_config(${quoteLiteral(name)}, ${valueExpression(value)}, false)`;
    if (name === 'client_encoding') set.unshift(assignment);
    else set.push(assignment);
  }
  return `BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;${identityBefore(from)}${[...reset, ...set]
    .map((statement) => `${statement};`)
    .join('')}${identityAfter(to)}COMMIT`;
}

/** Who the session acts as. Everything else is changed as the user that logged in, then these are put on, in this order. */
const IDENTITY: ReadonlySet<string> = new Set(['session_authorization', 'role']);

function identityBefore(from: SettingsSet): string {
  const role = from.entries.has('role') ? 'RESET ROLE;' : '';
  const user = from.entries.has('session_authorization') ? 'RESET SESSION AUTHORIZATION;' : '';
  return role + user;
}

function identityAfter(to: SettingsSet): string {
  const user = to.entries.get('session_authorization');
  const role = to.entries.get('role');
  return `${user === undefined ? '' : `SET SESSION AUTHORIZATION ${quoteLiteral(user)};`}${
    role === undefined ? '' : `SELECT pg_catalog.set_config('role', ${quoteLiteral(role)}, false);`
  }`;
}

/**
 * A value in the encoding that the session has. The query as a whole is read in the one that the connection has before it,
 * so what is not ASCII is spelled out in bytes and read when the session's encoding is in force.
 */
function valueExpression(value: string): string {
  if (!NOT_ASCII.test(value)) return quoteLiteral(value);
  const hex = Buffer.from(value, 'latin1').toString('hex');
  return `pg_catalog.convert_from(pg_catalog.decode('${hex}', 'hex'), pg_catalog.current_setting('client_encoding'))`;
}

const NOT_ASCII = /[\x80-\xff]/;

/** A literal that means the same with any standard_conforming_strings: `E'...'` with quotes and backslashes doubled. */
export function quoteLiteral(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** A setting's name: each part of `extension.name` quoted. */
function quoteSettingName(name: string): string {
  return name
    .split('.')
    .map((part) => `"${part.replaceAll('"', '""')}"`)
    .join('.');
}
