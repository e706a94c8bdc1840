import type { BackendConnection } from '../backend/connection.ts';
import type { Step } from '../backend/exchange.ts';
import { CLOSE_COMPLETE, PARSE_COMPLETE } from '../protocol/backend-encoders.ts';
import type { ClientMessage, Work } from './work.ts';

/** A Parse that was sent: until its reply comes, the statement is only assumed to be on the connection. */
export class ParseStep implements Step {
  readonly action: 'forward' | 'drop';
  readonly reply = null;
  readonly #connection: BackendConnection;
  readonly #statementId: number;
  readonly #named: boolean;
  readonly #work: Work;
  /** Null when the Parse was ours. */
  readonly #message: ClientMessage | null;

  constructor(
    connection: BackendConnection,
    work: Work,
    statement: { readonly id: number; readonly named: boolean },
    message: ClientMessage | null,
  ) {
    this.action = message === null ? 'drop' : 'forward';
    this.#connection = connection;
    this.#work = work;
    this.#statementId = statement.id;
    this.#named = statement.named;
    this.#message = message;
  }

  undo(failing: boolean): void {
    if (this.#named) this.#connection.removeStatement(this.#statementId);
    else this.#connection.forgetUnnamed();
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
  readonly #work: Work;
  readonly #message: ClientMessage;

  constructor(work: Work, message: ClientMessage) {
    this.#work = work;
    this.#message = message;
  }

  undo(failing: boolean): void {
    skip(this.#work, this.#message, failing);
  }
}

/** A message of ours whose reply is dropped and that assumed nothing. */
export const droppedStep: Step = { action: 'drop', reply: null, undo: () => undefined };

function skip(work: Work, message: ClientMessage, failing: boolean): void {
  work.skipped ??= [];
  work.skipped.push({ message, failing });
}
