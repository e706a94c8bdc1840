import type { SettingsSet } from '../util/settings-set.ts';

/**
 * Brings a connection's settings from one set to another: statements to be swallowed, one after the other, ahead of a work
 * that is already behind them in the same write. A COMMIT is to follow them.
 *
 * That work must not run if one of them fails (a role that was dropped, a value that this node refuses, a cancel request): it
 * would run under another role or search_path. So they are sent without a Sync (`encodeUnsynced`). The COMMIT is a Query: at
 * its ReadyForQuery PostgreSQL reports what has changed, which is nothing that the client is to hear behind its own work. If
 * it is that which is cancelled, the connection is left in a failed transaction block, where PostgreSQL refuses everything
 * with 25P02, except what ends the block: works that may do that must not be sent in the same write.
 *
 * READ COMMITTED is spelled out because a standby refuses to take a snapshot under `default_transaction_isolation =
 * serializable`.
 */
export function settingsPrelude(from: SettingsSet, to: SettingsSet): string[] {
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
  const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY';
  return [begin, ...identityBefore(from), ...reset, ...set, ...identityAfter(to)];
}

/** Who the session acts as. Everything else is changed as the user that logged in, then these are put on, in this order. */
const IDENTITY: ReadonlySet<string> = new Set(['session_authorization', 'role']);

function identityBefore(from: SettingsSet): string[] {
  const statements: string[] = [];
  if (from.entries.has('role')) statements.push('RESET ROLE');
  if (from.entries.has('session_authorization')) statements.push('RESET SESSION AUTHORIZATION');
  return statements;
}

function identityAfter(to: SettingsSet): string[] {
  const statements: string[] = [];
  const user = to.entries.get('session_authorization');
  const role = to.entries.get('role');
  if (user !== undefined) statements.push(`SET SESSION AUTHORIZATION ${quoteLiteral(user)}`);
  if (role !== undefined) statements.push(`SELECT pg_catalog.set_config('role', ${quoteLiteral(role)}, false)`);
  return statements;
}

/**
 * A value in the encoding that the session has. As one query, the statements are read in the one that the connection has before
 * them, so what is not ASCII is spelled out in bytes and read when the session's encoding is in force.
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
