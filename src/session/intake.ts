import { FRONTEND } from '../protocol/codes.ts';
import { Framer } from '../protocol/framer.ts';
import { decodeQuery } from '../protocol/frontend-decoders.ts';
import { SYNC } from '../protocol/frontend-encoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { opaqueFacts } from '../sql/classify.ts';
import type { Facts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import { noteBind, noteText } from './custom-settings.ts';
import type { Dispatcher } from './dispatcher.ts';
import { sessionFrames } from './frames.ts';
import type { Names } from './names.ts';
import { isAnswerDue, isCopyMessage, mustWait } from './order.ts';
import { mayRelocate } from './relocation.ts';
import type { SessionState } from './state.ts';
import { ClientMessage, Work } from './work.ts';

/** What becomes of what the client sends. */
export interface IntakeOwner {
  /** A work is to be answered, or its target decided; the rest of one that is not complete follows by `Dispatcher.append`. */
  workReceived(work: Work): void;
  /** A batch breaks a limit of ours. */
  workBroken(work: Work, error: OperationalError): void;
  /** The Sync came that ends what was passed over. */
  skippedToSync(): void;
  /** A message had nothing to do. */
  nothing(): void;
  /** The last piece of a COPY message was sent. */
  copyMessageEnded(): void;
  /** The client has asked to leave. */
  left(): void;
  /** The client has sent something; returns since when it waits for an answer (ms of the clock). */
  busy(): number;
}

/**
 * What the client sends, message by message: a Query or FunctionCall becomes a work, messages of the extended protocol
 * become one up to their Sync, CopyData goes where the COPY runs. Messages that are longer than they need to be seen
 * pass in pieces.
 */
export class Intake {
  readonly #framer: Framer;
  readonly #batchBytes: number;
  readonly #state: SessionState;
  readonly #names: Names;
  readonly #dispatcher: Dispatcher;
  readonly #owner: IntakeOwner;
  /** The batch whose target is not decided yet. */
  #batch: Work | null = null;
  /** After an error of ours inside a batch: everything up to its Sync is passed over. */
  #skipping = false;
  /** The client sends nothing more. */
  #ended = false;
  /** The message that the framer stands at must wait for replies. */
  #heldBack = false;
  /** Where later pieces of the current message go. */
  #piecesPass = false;
  /** The active connection was sent the beginning of a COPY message and not its end: nobody else may have it before that. */
  insideCopy = false;

  constructor(
    parts: { readonly state: SessionState; readonly names: Names; readonly dispatcher: Dispatcher },
    limits: { readonly maxParseBytes: number; readonly batchBytes: number },
    owner: IntakeOwner,
  ) {
    this.#state = parts.state;
    this.#names = parts.names;
    this.#dispatcher = parts.dispatcher;
    this.#batchBytes = limits.batchBytes;
    this.#framer = new Framer(sessionFrames(limits));
    this.#owner = owner;
  }

  /** Takes a chunk of the client's stream, which belongs to the session from now on. */
  push(chunk: Buffer): void {
    this.#framer.push(chunk);
  }

  /** Nothing comes behind what was pushed: as a Terminate, it waits for what is still to be answered. */
  end(): void {
    this.#ended = true;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes that were taken and not looked at. */
  get pending(): number {
    return this.#framer.pending;
  }

  /**
   * Reads one piece of a message; false when there is none.
   * @throws ProtocolError when the client does not speak the protocol
   */
  next(): boolean {
    if (!this.#heldBack && !this.#framer.next()) {
      if (this.#ended && !isAnswerDue(this.#state)) this.#owner.left();
      return false;
    }
    this.#piece();
    return true;
  }

  /** A batch has begun whose target is not decided. */
  get insideBatch(): boolean {
    return this.#batch !== null;
  }

  /** A message was read and waits, or the end of them does. */
  get holdsBack(): boolean {
    return this.#heldBack || this.#ended;
  }

  /** Whether that message must go on waiting. */
  get mustWait(): boolean {
    return this.#heldBack && mustWait(this.#state, this.#framer);
  }

  /** Everything up to the Sync of the batch is passed over. */
  skipToSync(): void {
    this.#skipping = true;
    this.#piecesPass = false;
  }

  /** Later pieces of the current message go nowhere. */
  dropPieces(): void {
    this.#piecesPass = false;
  }

  #piece(): void {
    const framer = this.#framer;
    if (!framer.first) {
      if (this.#piecesPass) this.#dispatcher.continue(framer.buffer, framer.start, framer.end);
      if (framer.last && this.insideCopy) {
        this.insideCopy = false;
        this.#owner.copyMessageEnded();
      }
      return;
    }
    this.#piecesPass = false;
    const skipped = this.#skipping && framer.type !== FRONTEND.sync && framer.type !== FRONTEND.terminate;
    this.#heldBack = !skipped && mustWait(this.#state, framer);
    if (skipped || this.#heldBack) return;
    this.#owner.busy();
    const { works } = this.#state;
    if (works.length > 0 && works[works.length - 1]?.copyOpen === true && !isCopyMessage(framer.type)) {
      // Into the COPY: PostgreSQL ignores Flush and Sync there, and ends the connection for anything else.
      this.#piecesPass = true;
      this.#dispatcher.continue(framer.buffer, framer.start, framer.end);
      return;
    }
    const message = new ClientMessage(framer.type, framer.buffer, framer.start, framer.end, framer.length);
    switch (message.type) {
      case FRONTEND.query:
        this.#query(message, framer.last);
        break;
      case FRONTEND.sync:
        this.#sync(message);
        break;
      case FRONTEND.terminate:
        this.#owner.left();
        break;
      case FRONTEND.functionCall:
        this.#call(message, framer.last);
        break;
      case FRONTEND.copyData:
      case FRONTEND.copyDone:
      case FRONTEND.copyFail:
        this.#copy(message);
        break;
      default:
        this.#batchMessage(message);
    }
  }

  #query(message: ClientMessage, whole: boolean): void {
    this.#state.statements.remove('');
    let text: string | null = null;
    if (whole) {
      try {
        text = decodeQuery(message.buffer, message.start, message.end);
      } catch (error) {
        if (!(error instanceof ProtocolError) || error.severity === 'FATAL') throw error;
      }
    }
    // The rest of a long text follows in pieces; nothing ends it but its last byte.
    this.#piecesPass = !whole;
    this.#complete('query', message, this.#names.factsOf(text), text ?? '');
  }

  #call(message: ClientMessage, whole: boolean): void {
    this.#piecesPass = !whole;
    this.#complete('call', message, opaqueFacts('text does not parse'), '');
  }

  /** A Query or a FunctionCall: a work of its own or, in the middle of a batch, in the place of its Sync. */
  #complete(kind: 'query' | 'call', message: ClientMessage, facts: Facts, text: string): void {
    const { open } = this.#state;
    const work = open ?? this.#batch ?? new Work(kind, this.#owner.busy());
    this.#names.noteFacts(work, facts);
    work.text = text;
    noteText(work, facts, text);
    work.complete = true;
    work.endsInQuery = work.kind === 'batch';
    if (open === null || open.retryable) work.add(message);
    if (open !== null) this.#dispatcher.append(open, message);
    else {
      this.#batch = null;
      this.#owner.workReceived(work);
    }
  }

  #copy(message: ClientMessage): void {
    const work = this.#batch ?? this.#state.works.at(-1);
    if (work !== undefined && message.type !== FRONTEND.copyData) noteCopyEnd(work);
    if (this.#batch !== null) this.#addToBatch(this.#batch, message);
    else if (work !== undefined && this.#state.active !== null) {
      this.#piecesPass = true;
      work.copySent = true;
      this.insideCopy = !this.#framer.last;
      this.#dispatcher.continue(message.buffer, message.start, message.end);
    } else {
      // A COPY has failed and the client does not know yet: PostgreSQL ignores these, too.
      this.#owner.nothing();
    }
  }

  /** Parse, Bind, Describe, Execute, Close, Flush. */
  #batchMessage(message: ClientMessage): void {
    const open = this.#state.open;
    if (message.type === FRONTEND.flush && open === null && this.#batch === null) {
      // Nothing is held back by then.
      this.#owner.nothing();
      return;
    }
    const work = open ?? this.#batch ?? this.#beginBatch();
    try {
      this.#names.resolve(message, work, this.#framer.last);
      if (message.type === FRONTEND.bind) noteBind(work, message);
    } catch (error) {
      if (error instanceof OperationalError) {
        this.#batch = null;
        this.#owner.workBroken(work, error);
        return;
      }
      if (!(error instanceof ProtocolError) || error.severity === 'FATAL') throw error;
      // PostgreSQL is to complain about it.
      work.facts.push(opaqueFacts('text does not parse'));
    }
    if (open === null) this.#addToBatch(work, message);
    else {
      if (message.type === FRONTEND.flush) this.#flush(work);
      this.#piecesPass = !this.#framer.last;
      if (work.retryable) work.add(message);
      this.#dispatcher.append(work, message);
    }
  }

  #beginBatch(): Work {
    const work = new Work('batch', this.#owner.busy());
    this.#batch = work;
    return work;
  }

  #addToBatch(work: Work, message: ClientMessage): void {
    const last = this.#framer.last;
    const state = this.#state;
    // On trust, all of it must be known first.
    const streams =
      state.optimistic === null &&
      !mayRelocate(state) &&
      state.active !== null &&
      (state.expectsTransaction || state.pinned || state.transaction === 'open');
    const flushes = message.type === FRONTEND.flush;
    const ends = flushes && !streams && state.transaction !== 'failed' && onlyPrepares(work);
    work.add(ends ? OWN_SYNC : message);
    work.endsInFlush = ends;
    if (ends) work.complete = true;
    if (flushes) this.#flush(work);
    else if (last && work.bytes <= this.#batchBytes && !streams) return;
    this.#piecesPass = !last;
    this.#batch = null;
    this.#owner.workReceived(work);
  }

  #flush(work: Work): void {
    work.flushed = true;
    work.holding = false;
  }

  #sync(message: ClientMessage): void {
    const state = this.#state;
    if (this.#skipping) {
      this.#skipping = false;
      this.#owner.skippedToSync();
      return;
    }
    const open = state.open;
    if (open !== null) {
      open.complete = true;
      if (open.retryable) open.add(message);
      this.#dispatcher.append(open, message);
      return;
    }
    const work = this.#batch ?? new Work('batch', this.#owner.busy());
    this.#batch = null;
    work.add(message);
    work.complete = true;
    this.#owner.workReceived(work);
  }
}

/**
 * Some drivers prepare with a Flush and send the Sync when they run what they prepared, or never (asyncpg). Until then
 * nothing is open that PostgreSQL would keep, so such a batch ends at its Flush, by a Sync of ours: what comes next may be
 * a Query, or run a write behind a read, and goes where it belongs by itself.
 */
const OWN_SYNC = new ClientMessage(FRONTEND.sync, SYNC, 0, SYNC.length, SYNC.length);

/** Parse, Describe of a statement, Close. What binds may go on behind the Flush: a portal ends with its transaction. */
function onlyPrepares(work: Work): boolean {
  return work.messages.every(({ type, name }) => PREPARES.has(type) && name !== null);
}

const PREPARES: ReadonlySet<number> = new Set([FRONTEND.parse, FRONTEND.describe, FRONTEND.close]);

/** A CopyDone or CopyFail goes to the work's COPY, or ahead of it. */
function noteCopyEnd(work: Work): void {
  if (work.copyOpen) work.copyOpen = false;
  else if (work.complete) work.copyEndsAhead++;
  else work.copyEndsBeforeSync++;
}
