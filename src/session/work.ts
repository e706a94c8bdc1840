import type { Guard } from '../backend/exchange.ts';
import type { Route } from '../routing/route.ts';
import type { Facts } from '../sql/facts.ts';
import type { Said } from './custom-settings.ts';
import type { LiftedRead } from './lifted-reads.ts';
import type { PreparedStatement, SessionStatement, UnnamedChange } from './prepared-statements.ts';
import type { DeferredTransaction } from './state.ts';

/** One message of the client, as far as it is kept. `buffer[start, end)` is its first piece and belongs to us. */
export class ClientMessage {
  readonly type: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Length of the whole message; more than `end - start` when later pieces follow. */
  readonly length: number;
  /** Parse, Bind, Describe and Close of a statement: which it is. Null when the client has none of that name. */
  statement: PreparedStatement | null = null;
  /** Bind and Describe, also of a portal: what the client calls by that name, or what the portal was bound to. */
  definition: SessionStatement | null = null;
  /** The client's name for it; null for messages that are not about a statement. */
  name: string | null = null;
  /** Parse and Close: what the name meant before. */
  previous: SessionStatement | null = null;
  /** Parse and Close of the unnamed statement: what they do to it. */
  change: UnnamedChange | null = null;
  /** Parse of a name that is taken: PostgreSQL is made to say so. */
  duplicate = false;
  /** Parse of a name that a statement of SQL's PREPARE may have: PostgreSQL is asked. */
  contested = false;

  constructor(type: number, buffer: Buffer, start: number, end: number, length: number) {
    this.type = type;
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.length = length;
  }
}

/**
 * What a client sends that ends in one ReadyForQuery: a Query, a FunctionCall, or an extended-protocol batch up to its Sync.
 * Decided, sent and answered as one.
 */
export class Work {
  readonly kind: 'query' | 'batch' | 'call';
  readonly startedMs: number;
  readonly messages: ClientMessage[] = [];
  /** Facts of each statement that the work runs or describes, in order. */
  readonly facts: Facts[] = [];
  /** Everything that makes up the work is known: a batch has its Sync. */
  complete = false;
  /** The client asked for replies before the end (Flush): nothing may be held back. */
  flushed = false;
  /** Execute messages of a batch. */
  executes = 0;
  /** Text of its statement, of the last where there are several. */
  text = '';
  /** What those say that may change settings of any name; null when there are none. */
  said: Said | null = null;
  /** How many of them were considered for the transaction that will be open behind the work. */
  factsCounted = 0;
  /** The statement that `facts` were last taken of. */
  lastMentioned: PreparedStatement | null = null;
  /** Bytes of `messages`. */
  bytes = 0;

  route: Route | null = null;
  backend = -1;
  /** Was sent outside a transaction block, by a session that is not pinned. */
  autocommit = false;
  /** May be run again elsewhere as long as nothing of its reply was sent. */
  retryable = false;
  /** Runs on a replica, which may refuse it: then it has done nothing and is run on the primary. */
  refusable = false;
  /** Times it was sent. */
  attempts = 0;
  /** Backends that failed it. */
  readonly failedOn: number[] = [];
  /** A standby refused it: only the primary will do. */
  primaryOnly = false;
  /** No connection that others had will do. */
  wantsNew = false;
  /** The last attempt failed in a way that allows another, or stood behind one that did. */
  again = false;
  /** Why, for the one that failed. */
  retryCause: string | null = null;

  /** The transaction that it begins, put off until now. */
  begins: DeferredTransaction | null = null;
  /** Was sent on a shared connection. */
  shared = false;
  /** What was sent in place of its Query; null when that was sent as it is. */
  lifted: LiftedRead | null = null;
  /** May be sent in another way than its client wrote it. */
  mayLift = false;
  /** That has failed: now it is sent as it is. */
  failedLifted = false;
  /** Bytes of its reply that have come. */
  replyBytes = 0;
  /** When its backend can have begun with it, at the earliest: when it was sent, or what was sent before it was done; ms. */
  sentMs: number;
  /** Runs in a transaction that can be moved to the primary and go on there, so it may be run again. */
  optimistic = false;
  /** It begins such a transaction, of which nothing says that it is READ COMMITTED. */
  beginsOnTrust = false;
  guard: Guard | null = null;
  /** Messages are on their way to the backend. */
  sent = false;
  /** Bytes of its reply went to the client. */
  streamed = false;
  /** Its reply so far, copied, while it is held back; null when there is nothing or holding has ended. */
  held: Buffer[] | null = null;
  heldBytes = 0;
  holding = false;
  /** The backend takes CopyData for it. */
  copyOpen = false;
  /** A COPY FROM STDIN began in it. */
  copied = false;
  /** CopyData, CopyDone or CopyFail was sent for it, and is not kept. */
  copySent = false;
  /** CopyDone and CopyFail that were sent before the backend asked for data: ahead of the Sync, and behind it. */
  copyEndsBeforeSync = 0;
  copyEndsAhead = 0;
  /** A batch that has a Query or a FunctionCall in the place of its Sync. */
  endsInQuery = false;
  /** A batch that has a Flush in the place of its Sync: it has only prepared, and ends there. Its ReadyForQuery is ours. */
  endsInFlush = false;
  /** What the same message says behind it, run when this is done and not before: its ReadyForQuery is that of both. */
  rest: Work | null = null;
  /** What the same message says before it; run well, or this is not run. */
  isRestOf: Work | null = null;
  /** Was done, without an error. */
  succeeded = false;
  /** The client was told that the connection ends. */
  ended = false;
  /** What its latest Bind has bound to which portal. */
  bound: SessionStatement | null = null;
  boundTo: string | null = null;
  /** The last of its messages that changes the unnamed statement. */
  unnamedChange: UnnamedChange | null = null;
  /** Prepared statements that its SQL mentions by the client's names: they must exist under those while it runs. */
  borrowed: Map<string, PreparedStatement | null> | null = null;
  /** Names that had to exist on the backend for an error's sake; to be closed behind it. */
  closeAfter: string[] | null = null;
  /** Changes of the session's names that PostgreSQL skipped, to be taken back if the work is not run again. */
  skipped: { readonly message: ClientMessage; readonly failing: boolean }[] | null = null;

  constructor(kind: Work['kind'], startedMs: number) {
    this.kind = kind;
    this.startedMs = startedMs;
    this.sentMs = startedMs;
  }

  add(message: ClientMessage): void {
    this.messages.push(message);
    this.bytes += message.end - message.start;
  }

  /** Everything about the last attempt is forgotten. */
  startAgain(): void {
    this.again = false;
    this.shared = false;
    this.lifted = null;
    this.mayLift = false;
    this.replyBytes = 0;
    this.retryCause = null;
    this.sent = false;
    this.held = null;
    this.heldBytes = 0;
    this.skipped = null;
    this.guard = null;
    this.factsCounted = 0;
  }

  /** The text of each statement in it. */
  texts(): Set<string> {
    const texts = new Set<string>();
    for (const { statement } of this.messages) if (statement !== null) texts.add(statement.text);
    if (this.kind === 'query') texts.add(this.text);
    return texts;
  }

  /** The client's Sync is still to come: behind an error everything up to it is passed over. */
  get awaitsSync(): boolean {
    return !this.complete || this.endsInFlush;
  }

  /** All of it has come, and is kept. */
  get whole(): boolean {
    const last = this.messages.at(-1);
    return this.complete && last !== undefined && last.end - last.start === last.length;
  }

  /** Whether any of its statements was run, rather than only prepared or described. Known when it is complete. */
  get ran(): boolean {
    return this.kind !== 'batch' || this.executes > 0;
  }

  /** The facts, when the work is one statement of one message. */
  get onlyStatement(): Facts['statements'][number] | null {
    if (this.facts.length !== 1) return null;
    const statements = this.facts[0]?.statements;
    return statements?.length === 1 ? (statements[0] ?? null) : null;
  }
}
