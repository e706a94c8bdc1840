import type { BackendConnection } from '../backend/connection.ts';
import { Question } from '../backend/question.ts';
import { TRANSACTION_STATUS } from '../protocol/codes.ts';

/**
 * Makes a connection like new after its client left it in any state, transaction open, settings changed, temporary tables
 * there. Nothing may be owed on it but answers to questions of ours. `done` hears whether it worked; a connection on which it
 * did not must be closed.
 * Source: DISCARD in PostgreSQL's documentation; it cannot run in a transaction block, so that is ended first.
 */
export function cleanUp(connection: BackendConnection, done: (clean: boolean) => void): void {
  let cleaned = false;
  if (connection.status !== TRANSACTION_STATUS.idle) Question.ask(connection, 'ROLLBACK', () => undefined);
  Question.ask(connection, 'DISCARD ALL', (answer, status) => {
    const clean = answer !== null && status === TRANSACTION_STATUS.idle;
    if (clean) {
      connection.forgetStatements();
      connection.settings = connection.loginSettings;
      connection.mayHideSettings = false;
    }
    cleaned = clean;
  });
  // The client may have left before it was asked what it had made. The schema stays, empty (namespace.c).
  Question.ask(connection, 'SELECT pg_catalog.pg_my_temp_schema() <> 0', (answer) => {
    if (answer !== null) connection.hasTemporarySchema = answer[0]?.[0] === 't';
    done(cleaned && answer !== null);
  });
}

/** Ends a transaction that has left nothing else behind. `done` hears whether it worked. */
export function rollBack(connection: BackendConnection, done: (clean: boolean) => void): void {
  Question.ask(connection, 'ROLLBACK', (answer, status) => done(answer !== null && status === TRANSACTION_STATUS.idle));
}
