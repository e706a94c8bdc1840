import type { BackendConnection } from '../backend/connection.ts';
import type { DescribingStep, PresentStatement, SimpleStep } from '../backend/exchange.ts';
import { encodeErrorResponse } from '../protocol/error-response.ts';
import type { SessionStatement } from './prepared-statements.ts';
import { shapeOf } from './result-shape.ts';
import type { ClientMessage, Work } from './work.ts';

/** A Parse that was sent: until its reply comes, the statement is only assumed to be on the connection. */
export class ParseStep implements SimpleStep {
  readonly action: 'forward' | 'drop';
  readonly reply = null;
  readonly #connection: Pick<BackendConnection, 'removeStatement' | 'forgetUnnamed'>;
  readonly #statementId: number;
  readonly #named: boolean;
  readonly #work: Work;
  /** Null when the Parse was ours, or its client asks elsewhere. */
  #message: ClientMessage | null;

  constructor(
    connection: Pick<BackendConnection, 'removeStatement' | 'forgetUnnamed'>,
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
    skip(this.#work, this.#message, failing);
  }

  disown(): void {
    this.#message = null;
  }
}

/** A Parse or Close of the client that assumes nothing of its connection, only what the name means from now on. */
export class NameStep implements SimpleStep {
  readonly action: 'forward' | 'emit';
  readonly reply: Buffer | null;
  readonly #work: Work;
  /** Null when its client asks elsewhere. */
  #message: ClientMessage | null;

  /** @param reply ours, where it needs no message to the backend; null where it goes there under the client's own name */
  constructor(work: Work, message: ClientMessage, reply: Buffer | null) {
    this.action = reply === null ? 'forward' : 'emit';
    this.reply = reply;
    this.#work = work;
    this.#message = message;
  }

  undo(failing: boolean): void {
    skip(this.#work, this.#message, failing);
  }

  disown(): void {
    this.#message = null;
  }
}

/** A Describe of the client's: by the result that it is told of, it may read rows from now on. */
export class ObserveStep implements DescribingStep {
  readonly action = 'observe';
  readonly reply = null;
  readonly #definition: SessionStatement;
  readonly #present: PresentStatement;
  #tellsClient = true;

  constructor(definition: SessionStatement, present: PresentStatement) {
    this.#definition = definition;
    this.#present = present;
  }

  undo(): void {}

  disown(): void {
    this.#tellsClient = false;
  }

  parameters(message: Buffer): void {
    const types = this.#definition.statement.knownTypes(message.toString('latin1', PARAMETERS_START));
    if (this.#tellsClient) this.#definition.types = types;
    this.#present.types = types;
  }

  described(message: Buffer | null): null {
    const told = message === null ? null : this.#definition.statement.known(shapeOf(message));
    if (this.#tellsClient) this.#definition.told = told;
    this.#present.shape = told;
    return null;
  }
}

/** A Describe of ours behind a Parse of ours: whether the result is still what the client was told. */
export class CheckStep implements DescribingStep {
  readonly action = 'check';
  readonly reply = null;
  readonly #definition: SessionStatement;
  readonly #told: string;
  readonly #present: PresentStatement;
  readonly #onMatch: () => void;

  constructor(definition: SessionStatement, told: string, present: PresentStatement, onMatch: () => void) {
    this.#definition = definition;
    this.#told = told;
    this.#present = present;
    this.#onMatch = onMatch;
  }

  undo(): void {}

  disown(): void {}

  parameters(): void {}

  described(message: Buffer | null): Buffer | null {
    const shape = message === null ? null : this.#definition.statement.known(shapeOf(message));
    this.#present.shape = shape;
    if (shape !== this.#told) return RESULT_CHANGED;
    this.#onMatch();
    return null;
  }
}

/** Behind the header of a ParameterDescription is what ends a Parse: how many they are, and their OIDs. */
const PARAMETERS_START = 5;

/** What PostgreSQL says of a plan that it described before its tables were changed. Source: plancache.c. */
const RESULT_CHANGED = encodeErrorResponse({
  severity: 'ERROR',
  sqlstate: '0A000',
  message: 'cached plan must not change result type',
  file: 'plancache.c',
  routine: 'RevalidateCachedQuery',
});

/** A message of ours whose reply is dropped and that assumed nothing. */
export const droppedStep: SimpleStep = { action: 'drop', reply: null, undo: () => undefined, disown: () => undefined };

function skip(work: Work, message: ClientMessage | null, failing: boolean): void {
  if (message === null) return;
  work.skipped ??= [];
  work.skipped.push({ message, failing });
}
