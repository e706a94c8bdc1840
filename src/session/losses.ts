import { BackendLoginError } from '../backend/login-error.ts';
import { decodeErrorFields, encodeErrorResponse, type ReportableError } from '../protocol/error-response.ts';
import type { Facts, StatementFacts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import type { Work } from './work.ts';

export function resetsAll({ statements }: Facts): boolean {
  return statements.some(
    (statement) => statement.kind === 'reset all' || (statement.kind === 'discard' && statement.target === 'all'),
  );
}

/** Whether something in the work takes the setting back to what it was at login. */
export function resetsSetting(work: Work, name: string): boolean {
  return work.facts.some(({ statements }) => statements.some((statement) => resetsOne(statement, name)));
}

export function resetsOne(statement: StatementFacts, name: string): boolean {
  switch (statement.kind) {
    case 'reset':
      return statement.name === name;
    case 'set':
      return statement.toDefault && statement.name === name;
    case 'reset all':
      return true;
    case 'discard':
      return statement.target === 'all';
    default:
      return false;
  }
}

/** Whether the last end of a transaction in the work is a ROLLBACK. */
export function rollsBack(work: Work): boolean {
  const ends = work.facts
    .flatMap(({ statements }) => statements)
    .findLast(({ kind }) => kind === 'commit' || kind === 'rollback');
  return ends?.kind === 'rollback';
}

const ENDS_TRANSACTION: ReadonlySet<string> = new Set(['commit', 'rollback', 'prepare transaction']);

export const IN_FAILED_TRANSACTION = 'current transaction is aborted, commands ignored until end of transaction block';

export function connectionLostError(detail: string | undefined): OperationalError {
  return new OperationalError('backend_lost', 'the connection to the server was lost', detail === undefined ? {} : { detail });
}

/** The session's connection is gone, and with it what it was pinned for. */
export function stateLostError(pins: ReadonlySet<string>): OperationalError {
  return new OperationalError('session_state_lost', 'the connection to the server was lost, and with it state of the session', {
    detail: `The session depended on its connection: ${[...pins].join(', ')}.`,
  });
}

/** What a client is told whose work was under way on a connection that was lost; `inside` a transaction or by itself. */
export function lossOf(work: Work, inside: boolean, detail: string | undefined): OperationalError {
  const commits = work.facts.some(({ statements }) =>
    statements.some(({ kind }) => kind === 'commit' || kind === 'prepare transaction'),
  );
  const changes = !inside && work.facts.some((facts) => facts.effect !== 'read');
  if (!commits && !changes) return connectionLostError(detail);
  return new OperationalError('outcome_unknown', 'the connection to the server was lost before the outcome was known', {
    detail: detail ?? 'The statement may or may not have been committed.',
  });
}

/** Whether no transaction is open behind the work, however it went. */
export function endsTransaction(work: Work): boolean {
  const ends = work.facts.flatMap(({ statements }) => statements).findLast(({ kind }) => ENDS_TRANSACTION.has(kind));
  return ends !== undefined && !('chain' in ends && ends.chain);
}

/**
 * The settings of the session could not be restored on a connection. Notes where the work is to be tried next, if there is
 * such a place: a replica may lack what the primary has, such as the library of a setting; and a process in which a library
 * was loaded by others refuses settings of its name that are none of its own (reserved prefix, guc.c).
 */
export function mayRestoreElsewhere(work: Work, onSplitReplica: boolean): boolean {
  if (onSplitReplica && !work.primaryOnly) work.primaryOnly = true;
  else if (!work.wantsNew) work.wantsNew = true;
  else return false;
  return true;
}

/** What the client may know of an error that kept a work from its backend. */
export function reportable(error: Error): ReportableError | Buffer {
  if (error instanceof OperationalError) return error;
  if (error instanceof BackendLoginError) return error.response;
  return new OperationalError('backend_unreachable', 'could not connect to the server', { cause: error });
}

/** A backend's ErrorResponse as an ERROR: what was FATAL for its connection is not for the client's. */
export function asError(response: Buffer): Buffer {
  const fields = decodeErrorFields(response, 0, response.length);
  return encodeErrorResponse({ ...fields, severity: 'ERROR', severityNonLocalized: 'ERROR' });
}
