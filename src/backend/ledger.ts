import { decodeParameterStatus } from '../protocol/backend-decoders.ts';
import { BACKEND } from '../protocol/codes.ts';
import { decodeErrorFields } from '../protocol/error-response.ts';
import { Framer } from '../protocol/framer.ts';
import { BACKEND_RULES, MAX_DESCRIPTION_BYTES } from '../protocol/limits.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { DescribingStep, Segment, SegmentSink } from './exchange.ts';

/**
 * The ledger of one backend connection: a FIFO of segments, and the one place that reads the backend's stream.
 *
 * It looks at message headers only. Runs of messages that go to the client are handed on as slabs of the chunk they came
 * in; a slab ends where a message is dropped, where a reply is inserted, at ReadyForQuery, and at the end of the chunk.
 * Bodies are read of: ReadyForQuery (status), ParameterStatus, ErrorResponse (by the sink), and of captured segments; of a
 * description where a step asks for it.
 */
export interface LedgerOwner {
  /** A message outside any forwarded segment that belongs to whoever holds the connection: NotificationResponse. */
  notification(slice: Buffer, start: number, end: number): void;
  /**
   * An ErrorResponse that nobody's segment drew, or a FATAL one: the backend says why it is about to close (57P01, 25P03...).
   * It is about the connection, so it is never forwarded as the reply of a segment: that is lost with the connection.
   */
  farewell(slice: Buffer, start: number, end: number): void;
  /** A setting that the backend reports has changed, in any segment or in none. */
  parameterChanged(name: string, value: string): void;
}

/** A captured segment of our own questions never needs more. */
const MAX_CAPTURED_BYTES = 4 * 1024 * 1024;

/** Replies that end a step of an extended-protocol segment. */
const ENDS_STEP = tableOf([
  BACKEND.parseComplete,
  BACKEND.bindComplete,
  BACKEND.closeComplete,
  BACKEND.rowDescription,
  BACKEND.noData,
  BACKEND.commandComplete,
  BACKEND.emptyQueryResponse,
  BACKEND.portalSuspended,
]);

/** Messages that need more than forwarding; all others are passed in slabs without a second look. */
const NEEDS_LOOK = tableOf([
  BACKEND.readyForQuery,
  BACKEND.errorResponse,
  BACKEND.parameterStatus,
  BACKEND.parameterDescription,
  BACKEND.notificationResponse,
  BACKEND.noticeResponse,
  BACKEND.copyInResponse,
  BACKEND.copyBothResponse,
]);

export class Ledger {
  readonly #owner: LedgerOwner;
  readonly #framer = new Framer(BACKEND_RULES);
  readonly #queue: Segment[] = [];
  #head: Segment | null = null;
  #capturedBytes = 0;
  #served = 0;
  /** How the current message is treated while it comes in pieces. */
  #passing = false;
  #inside = false;
  /** Of a description that a step looks at and that comes in pieces: copies of those, up to a bound. */
  #pieces: Buffer[] | null = null;
  #pieceBytes = 0;
  #slab: Buffer | null = null;
  #slabStart = 0;
  #slabEnd = 0;
  #status = 0x49;

  constructor(owner: LedgerOwner) {
    this.#owner = owner;
  }

  /** Segments not yet complete. */
  get owed(): number {
    return (this.#head === null ? 0 : 1) + this.#queue.length;
  }

  /** Status byte of the last ReadyForQuery: I, T or E. */
  get status(): number {
    return this.#status;
  }

  /** The segment whose replies are due, or null. */
  get current(): Segment | null {
    return this.#head;
  }

  push(segment: Segment): void {
    if (this.#head === null) {
      this.#head = segment;
      this.#begin(segment);
    } else this.#queue.push(segment);
  }

  /** To be called after steps were appended to the script of a segment: replies of ours may be due at once. */
  stepped(segment: Segment): void {
    if (segment === this.#head) this.#emitDue(segment);
  }

  /**
   * Reads one borrowed chunk of the backend's stream.
   * @throws ProtocolError when the backend does not speak the protocol; the connection is then beyond use.
   */
  receive(chunk: Buffer): void {
    const framer = this.#framer;
    framer.push(chunk);
    while (framer.next()) {
      const type = framer.type;
      this.#inside = !framer.last;
      if (!framer.first) this.#continue(framer.buffer, framer.start, framer.end);
      else if (NEEDS_LOOK[type] === 1) this.#look(type, framer.buffer, framer.start, framer.end, framer.last);
      else this.#pass(type, framer.buffer, framer.start, framer.end);
    }
    this.#flushSlab(false);
  }

  /** Whether the client was left inside a message: part of it was forwarded and the rest has not come. */
  get cutInside(): boolean {
    return this.#passing && this.#inside;
  }

  /** Segments that were completed, ever: whether it grows tells a connection that works from one that is stuck. */
  get served(): number {
    return this.#served;
  }

  /** What is owed to the sinks that `which` names is swallowed from now on, on account of another. */
  reassign(which: (sink: SegmentSink) => boolean, to: SegmentSink): void {
    if (this.#head !== null) reassignOne(this.#head, which, to);
    for (const segment of this.#queue) reassignOne(segment, which, to);
  }

  /** Takes out everything owed, first the head: the connection is lost. */
  abandon(): Segment[] {
    const head = this.#head;
    const all = head === null ? [] : [head, ...this.#queue];
    this.#head = null;
    this.#queue.length = 0;
    this.#slab = null;
    if (head?.mode === 'refused') head.mode = 'forward';
    return all;
  }

  #begin(segment: Segment): void {
    this.#capturedBytes = 0;
    this.#emitDue(segment);
  }

  #emitDue(segment: Segment): void {
    const script = segment.script;
    if (script === null || segment.failed) return;
    for (let step = script.current(); step?.action === 'emit'; step = script.current()) {
      script.advance();
      if (step.reply !== null && !segment.discarding && segment.mode === 'forward') this.#insert(segment, step.reply);
    }
  }

  /** Forwards a message of ours at this place. */
  #insert(segment: Segment, message: Buffer): void {
    this.#flushSlab(false);
    segment.sink.forward(segment, message, 0, message.length, false);
  }

  /** A message whose body nobody reads. */
  #pass(type: number, buffer: Buffer, start: number, end: number): void {
    const segment = this.#head;
    if (segment === null)
      throw new ProtocolError('backend_protocol_violation', `unexpected message type 0x${type.toString(16)} outside any query`);
    let forwarded = segment.mode === 'forward' && !segment.discarding;
    if (ENDS_STEP[type] === 1) {
      const script = segment.script;
      const step = script?.current();
      if (script !== null && !segment.failed && step?.action !== 'rest') {
        if (step === null || step === undefined)
          throw new ProtocolError(
            'backend_protocol_violation',
            `unexpected message type 0x${type.toString(16)}: no request draws it`,
          );
        if (step.action === 'observe' || step.action === 'check') {
          this.#describe(segment, step, forwarded, buffer, start, end);
          return;
        }
        if (step.action === 'drop') forwarded = false;
        script.advance();
        this.#passing = forwarded;
        if (forwarded) this.#extendSlab(buffer, start, end);
        if (script.current()?.action === 'emit') this.#emitDue(segment);
        if (!segment.synced && script.finished) this.#proceed(segment);
        return;
      }
    } else if (segment.mode === 'capture' && type === BACKEND.dataRow) this.#capture(segment, buffer, start, end);
    this.#passing = forwarded;
    if (forwarded) this.#extendSlab(buffer, start, end);
  }

  /** A later piece of a message that is longer than its chunk. */
  #continue(buffer: Buffer, start: number, end: number): void {
    if (this.#passing) this.#extendSlab(buffer, start, end);
    if (this.#pieces !== null) this.#gather(this.#pieces, buffer, start, end);
    else if (this.#passing) return;
    else if (this.#head?.mode === 'capture' && this.#head.captured !== null) this.#capture(this.#head, buffer, start, end);
  }

  /** What a Describe drew; its step is done when the message is whole. */
  #describe(segment: Segment, step: DescribingStep, forwarded: boolean, buffer: Buffer, start: number, end: number): void {
    this.#passing = forwarded && step.action === 'observe';
    if (this.#passing) this.#extendSlab(buffer, start, end);
    if (this.#inside) {
      this.#pieces = [];
      this.#pieceBytes = 0;
      this.#gather(this.#pieces, buffer, start, end);
    } else this.#described(segment, step, buffer.subarray(start, end));
  }

  #gather(pieces: Buffer[], buffer: Buffer, start: number, end: number): void {
    this.#pieceBytes += end - start;
    if (this.#pieceBytes > MAX_DESCRIPTION_BYTES) pieces.length = 0;
    else pieces.push(Buffer.from(buffer.subarray(start, end)));
    if (this.#inside) return;
    this.#pieces = null;
    const step = this.#head?.script?.current();
    if (this.#head === null || (step?.action !== 'observe' && step?.action !== 'check')) return;
    this.#described(this.#head, step, pieces.length === 0 ? null : Buffer.concat(pieces));
  }

  #described(segment: Segment, step: DescribingStep, message: Buffer | null): void {
    const error = step.described(message);
    if (error === null) {
      segment.script?.advance();
      this.#emitDue(segment);
    } else if (segment.mode === 'forward') this.#refuse(segment, error);
    else segment.failed = true;
  }

  /** An error of ours in place of what the backend says up to ReadyForQuery. */
  #refuse(segment: Segment, error: Buffer): void {
    this.#flushSlab(false);
    segment.failed = true;
    segment.mode = 'refused';
    segment.sink.error(segment, error, 0, error.length);
    segment.sink.forward(segment, error, 0, error.length, false);
    settle(segment);
  }

  #look(type: number, buffer: Buffer, start: number, end: number, whole: boolean): void {
    const segment = this.#head;
    const forwarded = segment !== null && segment.mode === 'forward' && !segment.discarding;
    this.#passing = false;
    switch (type) {
      case BACKEND.readyForQuery:
        this.#complete(segment, buffer, start, end, forwarded);
        return;
      case BACKEND.errorResponse:
        this.#error(segment, buffer, start, end);
        return;
      case BACKEND.parameterStatus: {
        if (!whole) throw new ProtocolError('backend_protocol_violation', 'ParameterStatus is too long');
        const { name, value } = decodeParameterStatus(buffer, start, end);
        this.#owner.parameterChanged(name, value);
        const told = forwarded && segment.sink.parameter(segment, name, value);
        if (told === true) this.#extendSlab(buffer, start, end);
        else if (told !== false) this.#insert(segment, told);
        return;
      }
      case BACKEND.parameterDescription: {
        const step = segment?.script?.current();
        if (step?.action === 'check') return;
        if (step?.action === 'observe' && whole && segment?.failed === false) step.parameters(buffer.subarray(start, end));
        this.#pass(type, buffer, start, end);
        return;
      }
      case BACKEND.notificationResponse:
        this.#flushSlab(false);
        this.#owner.notification(buffer, start, end);
        return;
      case BACKEND.noticeResponse:
        this.#passing = forwarded;
        if (forwarded) this.#extendSlab(buffer, start, end);
        return;
      default:
        if (segment === null) throw new ProtocolError('backend_protocol_violation', 'COPY outside any query');
        segment.sink.copyIn(segment);
        this.#passing = forwarded;
        if (forwarded) this.#extendSlab(buffer, start, end);
    }
  }

  #error(segment: Segment | null, buffer: Buffer, start: number, end: number): void {
    if (segment === null) {
      this.#owner.farewell(buffer, start, end);
      return;
    }
    if (segment.mode === 'forward') this.#emitDue(segment);
    segment.failed = true;
    this.#errorIn(segment, buffer, start, end);
    settle(segment);
    if (!segment.synced && segment.guard?.failure != null) this.#proceed(segment);
  }

  #errorIn(segment: Segment, buffer: Buffer, start: number, end: number): void {
    if (segment.mode === 'refused') {
      if (isFatal(buffer, start, end)) this.#owner.farewell(buffer, start, end);
      return;
    }
    if (segment.mode === 'forward') {
      if (!segment.discarding) segment.sink.error(segment, buffer, start, end);
      if (segment.discarding) {
        this.#slab = null;
        return;
      }
      if (isFatal(buffer, start, end)) {
        this.#flushSlab(false);
        segment.discarding = true;
        this.#owner.farewell(buffer, start, end);
        return;
      }
      this.#passing = true;
      this.#extendSlab(buffer, start, end);
      return;
    }
    const guard = segment.guard;
    if (guard === null || guard.failure !== null) return;
    if (isFatal(buffer, start, end)) this.#owner.farewell(buffer, start, end);
    else {
      guard.failure = Buffer.from(buffer.subarray(start, end));
      guard.isClients = segment.isClients;
    }
  }

  #complete(segment: Segment | null, buffer: Buffer, start: number, end: number, forwarded: boolean): void {
    const status = buffer[start + 5];
    if (segment === null || status === undefined)
      throw new ProtocolError('backend_protocol_violation', 'unexpected ReadyForQuery');
    this.#status = status;
    if (segment.script !== null) {
      if (segment.failed) segment.script.undoRest();
      else if (!segment.script.finished)
        throw new ProtocolError('backend_protocol_violation', 'ReadyForQuery before all replies were given');
    }
    const refused = segment.mode === 'refused';
    if (refused) segment.mode = 'forward';
    if (forwarded || refused) {
      if (!segment.hidesReady) this.#extendSlab(buffer, start, end);
      this.#flushSlab(true);
    } else this.#slab = null;
    this.#proceed(segment);
  }

  /** The segment is complete. */
  #proceed(segment: Segment): void {
    segment.complete = true;
    this.#served++;
    const next = this.#queue.length === 0 ? null : (this.#queue.shift() ?? null);
    this.#head = next;
    segment.sink.ready(segment, this.#status);
    if (next !== null && next === this.#head) this.#begin(next);
  }

  #capture(segment: Segment, buffer: Buffer, start: number, end: number): void {
    this.#capturedBytes += end - start;
    if (this.#capturedBytes > MAX_CAPTURED_BYTES)
      throw new ProtocolError('backend_protocol_violation', 'the answer to a question of our own is too long');
    segment.captured ??= [];
    segment.captured.push(Buffer.from(buffer.subarray(start, end)));
  }

  #extendSlab(buffer: Buffer, start: number, end: number): void {
    if (this.#slab === buffer && this.#slabEnd === start) {
      this.#slabEnd = end;
      return;
    }
    this.#flushSlab(false);
    this.#slab = buffer;
    this.#slabStart = start;
    this.#slabEnd = end;
  }

  #flushSlab(final: boolean): void {
    const slab = this.#slab;
    const segment = this.#head;
    if (slab === null || segment === null) return;
    this.#slab = null;
    segment.sink.forward(segment, slab, this.#slabStart, this.#slabEnd, final);
  }
}

function reassignOne(segment: Segment, which: (sink: SegmentSink) => boolean, to: SegmentSink): void {
  if (!which(segment.sink)) return;
  segment.sink = to;
  segment.mode = 'swallow';
  segment.script?.disownRest();
}

/** Who waits for a reply in the segment learns that none will come. */
function settle(segment: Segment): void {
  const { onError } = segment;
  segment.onError = null;
  onError?.();
}

/** Whether the connection ends with this error. */
function isFatal(buffer: Buffer, start: number, end: number): boolean {
  const { severity, severityNonLocalized = severity } = decodeErrorFields(buffer, start, end);
  return severityNonLocalized === 'FATAL' || severityNonLocalized === 'PANIC';
}

function tableOf(types: readonly number[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const type of types) table[type] = 1;
  return table;
}
