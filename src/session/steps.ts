import type { BackendConnection, UnnamedChange } from '../backend/connection.ts';
import type { Step } from '../backend/exchange.ts';
import { CLOSE_COMPLETE, PARSE_COMPLETE } from '../protocol/backend-encoders.ts';
import type { ClientMessage, Work } from './work.ts';

/** A Parse that was sent: until its reply comes, the statement is only assumed to be on the connection. */
export class ParseStep implements Step {
  readonly action: 'forward' | 'drop';
  readonly reply = null;
  readonly #connection: BackendConnection;
  readonly #statementId: number;
  /** Of the unnamed statement only. */
  readonly #unnamed: UnnamedChange | null;
  readonly #work: Work;
  /** Null when the Parse was ours. */
  readonly #message: ClientMessage | null;
  /** A Close of the same statement goes ahead of it. */
  readonly #renews: boolean;

  constructor(
    connection: BackendConnection,
    work: Work,
    statement: { readonly id: number; readonly named: boolean; readonly renews?: boolean },
    message: ClientMessage | null,
  ) {
    this.action = message === null ? 'drop' : 'forward';
    this.#connection = connection;
    this.#work = work;
    this.#statementId = statement.id;
    this.#unnamed = statement.named ? null : connection.changeUnnamed(statement.id);
    this.#renews = statement.renews ?? false;
    this.#message = message;
  }

  undo(failing: boolean): void {
    // Skipped together with the Close ahead of it, it has left the statement where it was.
    if (this.#unnamed !== null) {
      if (failing) this.#connection.unnamedStatement = 0;
      else this.#connection.takeBackUnnamed(this.#unnamed);
    } else if (failing || !this.#renews) this.#connection.removeStatement(this.#statementId);
    if (this.#message !== null) skip(this.#work, this.#message, failing);
  }
}

/** A Parse or Close of the client that needs no message to the backend: its reply is ours. */
export class EmittedStep implements Step {
  readonly action = 'emit';
  readonly reply: Buffer;
  readonly #work: Work;
  readonly #message: ClientMessage;

  constructor(kind: 'parse' | 'close', work: Work, message: ClientMessage) {
    this.reply = kind === 'parse' ? PARSE_COMPLETE : CLOSE_COMPLETE;
    this.#work = work;
    this.#message = message;
  }

  undo(failing: boolean): void {
    skip(this.#work, this.#message, failing);
  }
}

/** A Parse or Close that goes to the backend under the client's own name. */
export class OwnNameStep implements Step {
  readonly action = 'forward';
  readonly reply = null;
  readonly #connection: BackendConnection;
  readonly #work: Work;
  readonly #message: ClientMessage;
  readonly #unnamed: UnnamedChange | null;

  constructor(connection: BackendConnection, work: Work, message: ClientMessage) {
    this.#connection = connection;
    this.#work = work;
    this.#message = message;
    this.#unnamed = message.name === '' ? connection.changeUnnamed(0) : null;
  }

  undo(failing: boolean): void {
    if (this.#unnamed !== null) this.#connection.takeBackUnnamed(this.#unnamed);
    skip(this.#work, this.#message, failing);
  }
}

/** A message of ours whose reply is dropped and that assumed nothing. */
export const droppedStep: Step = { action: 'drop', reply: null, undo: () => undefined };

function skip(work: Work, message: ClientMessage, failing: boolean): void {
  work.skipped ??= [];
  work.skipped.push({ message, failing });
}
