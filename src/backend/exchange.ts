import { assert } from '../util/assert.ts';
import type { SettingsSet } from '../util/settings-set.ts';

/**
 * The vocabulary of the ledger (`ledger.ts`): what is owed on a backend connection, and who gets it.
 *
 * Work reaches a connection as *segments*. Each but the unsynced ends in exactly one ReadyForQuery. Its replies are
 *   - forwarded: to the client, as they came;
 *   - swallowed: our own `BEGIN`, settings and clean-up, whose success nobody needs to see;
 *   - captured: our own questions, whose rows are collected;
 *   - refused: to be forwarded, until an error of ours took the place of the rest, of which only ReadyForQuery is forwarded.
 * Segments that belong together (a preamble and the statement behind it) share a *guard*: when a guarded swallowed segment
 * fails, the guard holds the error for the client, and the connection is to be closed. The server must be made to refuse what
 * is behind it by itself, because that is already on its way. So what it depends on is sent without a Sync: such an *unsynced*
 * segment draws no ReadyForQuery and ends with its last reply, or with an error behind which the server passes over everything.
 *
 * Replies may be swallowed for: a preamble (BEGIN, SET LOCAL), settings, Parse and Close of statements that the client
 * prepared elsewhere, cleaning (ROLLBACK, DISCARD ALL), the round trip after a cancel, and reads that are run again.
 */
export type SegmentMode = 'forward' | 'swallow' | 'capture' | 'refused';

/** Shared by the segments of one exchange. */
export class Guard {
  /** The ErrorResponse of a swallowed segment, whole, or null while all is well. */
  failure: Buffer | null = null;
  /** What failed was said by the client, who has been told that it went well. */
  isClients = false;
}

/** Receives what a segment yields. All calls are synchronous, in the order of the wire; slices are borrowed. */
export interface SegmentSink {
  /** Bytes for the client. `final`: they end with the segment's ReadyForQuery. */
  forward(segment: Segment, slice: Buffer, start: number, end: number, final: boolean): void;
  /**
   * An ErrorResponse in a forwarded segment, before anything of it is forwarded. Setting `segment.discarding` withholds it
   * and everything up to ReadyForQuery, including bytes of this chunk that were not forwarded yet.
   */
  error(segment: Segment, slice: Buffer, start: number, end: number): void;
  /** The backend asks for CopyData (CopyInResponse), before that message is forwarded. */
  copyIn(segment: Segment): void;
  /** The segment is complete; `status` is the transaction status byte (I, T, E) that was heard last. */
  ready(segment: Segment, status: number): void;
  /** A ParameterStatus inside a forwarded segment. Returns whether the client should see it, or what it is to see instead. */
  parameter(segment: Segment, name: string, value: string): boolean | Buffer;
  /** The connection ended with this segment (and those behind it) incomplete. */
  lost(segment: Segment): void;
}

export class Segment {
  mode: SegmentMode;
  sink: SegmentSink;
  readonly guard: Guard | null;
  /** Null for segments without extended-protocol messages: nothing needs to be told apart inside them. */
  readonly script: ReplyScript | null;
  /** A Sync, or what stands for it, is among its messages. */
  synced = true;
  /** Its ReadyForQuery has come or, of an unsynced one, its last reply. */
  complete = false;
  /** An ErrorResponse was seen. */
  failed = false;
  /** The rest is not forwarded: the sink withheld an error, or the connection ends with it. */
  discarding = false;
  /** Swallowed: it is what the client said. */
  isClients = false;
  /** The client did not ask for its ReadyForQuery, and does not get it. */
  hidesReady = false;
  /** Pieces of the DataRows of a captured segment, copied. Limited by the ledger. */
  captured: Buffer[] | null = null;
  /** Called once, behind the first error: who waits for a reply in it waits no longer. */
  onError: (() => void) | null = null;
  /** The statement that was bound last in it, when the client is yet to hear of its result; null when it knows. */
  observes: PresentStatement | null = null;
  /** Statements that are checked in it, or described to the client, and what they were made for. */
  trusts: Map<PresentStatement, string> | null = null;
  /** Free for the sink: which of its works this segment belongs to. */
  work: unknown = null;

  constructor(mode: SegmentMode, sink: SegmentSink, guard: Guard | null, script: ReplyScript | null) {
    this.mode = mode;
    this.sink = sink;
    this.guard = guard;
    this.script = script;
  }
}

/** A prepared statement on a backend connection. */
export class PresentStatement {
  readonly name: Buffer;
  /**
   * What it was prepared under, as far as that matters: PostgreSQL reads dates in it, and the like, only then. A number where
   * that is not known: of the lease in which it was.
   */
  readonly settings: SettingsSet | number;
  /** The shape of its result, as PostgreSQL described it: that of this plan, or PostgreSQL refuses it. Null: not known. */
  shape: string | null = null;
  /** Number and OIDs of the types of its parameters, as PostgreSQL described them. Null: not known. */
  types: string | null;
  /** How many clients had prepared it when the connection did. */
  preparedFor = 0;

  constructor(name: Buffer, settings: SettingsSet | number, types: string | null = null) {
    this.name = name;
    this.settings = settings;
    this.types = types;
  }
}

/** One message of an extended-protocol batch, by the reply that it will draw. */
export type Step = SimpleStep | DescribingStep;

export interface SimpleStep {
  /**
   * `emit`: no message was sent for it, the reply is ours; `drop`: the message is ours, its reply is nobody's; `rest`: every
   * reply up to ReadyForQuery.
   */
  readonly action: 'forward' | 'drop' | 'emit' | 'rest';
  /** The reply to emit. */
  readonly reply: Buffer | null;
  /**
   * Called when the message failed (`failing`) or was skipped after an error before it: take back what was assumed when it
   * was sent.
   */
  undo(failing: boolean): void;
  /** The answer is for nobody any more, what sent the message goes its own way: only what it says of the connection counts. */
  disown(): void;
}

/** A Describe whose reply is looked at. */
export interface DescribingStep {
  /** `observe`: the client's, forwarded; `check`: ours, dropped. */
  readonly action: 'observe' | 'check';
  readonly reply: null;
  undo(failing: boolean): void;
  disown(): void;
  /** The ParameterDescription ahead of it, whole and borrowed; not called when it is longer than a bound. */
  parameters(message: Buffer): void;
  /**
   * The RowDescription or NoData that it drew, whole and borrowed; null when it is longer than any of PostgreSQL's. Returns
   * the ErrorResponse that the client is to get in place of all that follows in the segment, or null.
   */
  described(message: Buffer | null): Buffer | null;
}

/** Bind, Describe, Execute: their reply goes to the client and nothing was assumed. */
export const plainStep: Step = { action: 'forward', reply: null, undo: () => undefined, disown: () => undefined };

/** A Query or a FunctionCall in the place of a Sync. */
export const restStep: Step = { action: 'rest', reply: null, undo: () => undefined, disown: () => undefined };

/**
 * The replies that an extended-protocol segment will draw, in order: lets the ledger drop and insert ParseComplete and
 * CloseComplete at their places. Which replies end a step: ParseComplete, BindComplete, CloseComplete, RowDescription or
 * NoData, CommandComplete or EmptyQueryResponse or PortalSuspended (protocol page "Extended Query").
 */
export class ReplyScript {
  readonly #steps: Step[] = [];
  #mayFail = false;
  #reached = 0;

  /** Messages of the client are among those that were appended. */
  get mayFail(): boolean {
    return this.#mayFail;
  }

  append(step: Step): void {
    if (step.action !== 'drop' && step.action !== 'check') this.#mayFail = true;
    this.#steps.push(step);
  }

  /** The step whose reply is due, or null when the server owes none. */
  current(): Step | null {
    return this.#steps[this.#reached] ?? null;
  }

  /** Only ReadyForQuery may come next, or whatever a Query draws. */
  get finished(): boolean {
    const step = this.current();
    return step === null || step.action === 'rest';
  }

  advance(): void {
    assert(this.#reached < this.#steps.length, 'a reply without a message that draws it');
    this.#reached++;
  }

  /** After an error: everything from here on was skipped by the server. Undone last first. */
  undoRest(): void {
    for (let index = this.#steps.length - 1; index >= this.#reached; index--) this.#steps[index]?.undo(index === this.#reached);
    this.#reached = this.#steps.length;
  }

  /** The answers that are still to come are for nobody any more. */
  disownRest(): void {
    for (let index = this.#reached; index < this.#steps.length; index++) this.#steps[index]?.disown();
  }
}
