import { errorResponseFor, type ReportableError } from '../protocol/error-response.ts';
import { OperationalError } from '../util/errors.ts';
import type { Measures } from '../util/measures.ts';
import { readyFor } from './local-answers.ts';
import { asError } from './losses.ts';
import type { ClientPort } from './ports.ts';
import type { SessionState } from './state.ts';
import type { Work } from './work.ts';

/** What follows from an answer of ours. */
export interface OutboxOwner {
  /** A work was answered whole. */
  answered(): void;
  /** The error stands for the rest of a batch, whose Sync is still to come. */
  skipToSync(): void;
}

/** Notifications that wait until the client is between messages; more end the connection. Ours. */
const MAX_WAITING_NOTIFICATIONS = 1000;

/** What pgweir itself says to the client; replies of backends go past it. */
export class Outbox {
  readonly #client: ClientPort;
  readonly #state: SessionState;
  readonly #measures: Measures;
  readonly #owner: OutboxOwner;
  readonly #notifications: Buffer[] = [];

  constructor(client: ClientPort, state: SessionState, measures: Measures, owner: OutboxOwner) {
    this.#client = client;
    this.#state = state;
    this.#measures = measures;
    this.#owner = owner;
  }

  /** Messages that leave open what comes behind them. */
  say(bytes: Buffer): void {
    this.#client.send(bytes, 0, bytes.length);
  }

  /** The whole answer to a work, or the rest of it. */
  answer(bytes: Buffer): void {
    this.say(bytes);
    this.#owner.answered();
  }

  /** Ends a work with an error: the ReadyForQuery behind it now, or at the Sync that is still to come. */
  error(work: Work, error: ReportableError | Buffer): void {
    if (error instanceof OperationalError) this.#measures.errors.inc(error.kind);
    const message = Buffer.isBuffer(error) ? asError(error) : errorResponseFor(error);
    if (!work.awaitsSync) this.answer(Buffer.concat([message, readyFor(this.#state.transaction)]));
    else {
      this.say(message);
      this.#owner.skipToSync();
    }
  }

  /** Keeps a notification until the replies under way are complete; false when too many wait. */
  keep(slice: Buffer, start: number, end: number): boolean {
    if (this.#notifications.length >= MAX_WAITING_NOTIFICATIONS) return false;
    this.#notifications.push(Buffer.from(slice.subarray(start, end)));
    return true;
  }

  /** Sends the notifications that were kept. */
  sendKept(): void {
    if (this.#notifications.length === 0) return;
    for (const message of this.#notifications.splice(0)) this.say(message);
  }
}
