import { SYNC, TERMINATE } from '../protocol/frontend-encoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { encodeCloseStatement } from '../protocol/rewrite.ts';
import { Gather } from '../util/gather.ts';
import { LateGather } from '../util/late-gather.ts';
import { Lru } from '../util/lru.ts';
import type { Measures } from '../util/measures.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { Turn } from '../util/turn.ts';
import type { BackendSocket } from './backend-socket.ts';
import { PresentStatement, Segment, type SegmentSink, type Step } from './exchange.ts';
import type { Lessee } from './lease.ts';
import { Ledger, type LedgerOwner } from './ledger.ts';

/** Whoever holds the connection at the moment. */
export interface ConnectionHolder {
  /** A NotificationResponse for this session; borrowed. */
  notification(connection: BackendConnection, slice: Buffer, start: number, end: number): void;
  /** The connection is gone; `farewell` is the ErrorResponse that the backend sent before, or null. Called after `lost` of every segment. */
  connectionLost(connection: BackendConnection, farewell: Buffer | null): void;
  /** The backend takes bytes again after `write` had piled up. */
  writable(connection: BackendConnection): void;
  /** A cancel request for the connection was delivered, or could not be. */
  cancelFinished(connection: BackendConnection): void;
  /** Handling what the connection brought has failed by a defect of ours: whoever it served is in an unknown state. */
  broken(error: unknown): void;
  /** The connection stands, but its backend answers nobody: what is under way may be taken elsewhere by ending it. */
  backendHangs(connection: BackendConnection): void;
}

/** What a closed connection still brings is passed over up to this much, then it is broken off. Ours. */
const MAX_LATE_BYTES = 1024 * 1024;

/** Beyond this many unsent bytes the client's side is not read on. Ours: a few socket buffers. */
const MAX_UNSENT_BYTES = 256 * 1024;

export interface ConnectionOptions {
  readonly socket: BackendSocket;
  readonly backend: number;
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly tls: boolean;
  /** What the backend reported at login. */
  readonly parameters: Map<string, string>;
  readonly settings: SettingsSet;
  readonly maxStatements: number;
  readonly turn: Turn;
  readonly measures: Measures;
  readonly openedAtMs: number;
  /** Hears of defects of ours, which end the connection and nothing else. */
  readonly onBug: (error: unknown) => void;
}

/**
 * One logged-in socket to a backend: its ledger, and what is known to be on it (settings, prepared statements).
 * It serves one holder at a time; who that is, and when it is free again, is decided above.
 */
export class BackendConnection implements LedgerOwner {
  readonly backend: number;
  readonly processId: number;
  readonly secretKey: Buffer;
  readonly tls: boolean;
  readonly openedAtMs: number;
  /** Reported settings, as last heard. */
  readonly parameters: Map<string, string>;
  /** Settings that the connection logged in with and RESET returns to. */
  readonly loginSettings: SettingsSet;
  /** Settings that differ from login, as far as pgweir put them there. */
  settings: SettingsSet;
  /**
   * Something of this lease changes settings that plans depend on, perhaps for its transaction only, and it is not known to
   * what: what is prepared meanwhile is of no use to others.
   */
  settingsUnsure = false;
  holder: ConnectionHolder | null = null;
  /** Who had it last. */
  lessee: Lessee | null = null;
  /** Number of its latest lease. */
  lease = 0;
  /** Number of the latest lease in which a sequence may have been advanced: currval() and lastval() are of that one. */
  sequenceLease = -1;
  /** Called when the connection ends while nobody holds it. */
  onIdleLoss: () => void = () => undefined;
  /** A function may have changed settings of which `settings` knows nothing: not to be handed on before they are reset. */
  mayHideSettings = false;
  /** A temporary schema was made in its process, and stays there, if empty, until it ends (namespace.c). */
  hasTemporarySchema = false;
  /** A cancel request for it is under way: not to be handed on before that is over. */
  cancelsInFlight = 0;
  /** A cancel request was sent since its last round trip: it may still hit whatever runs next. */
  cancelled = false;

  readonly #socket: BackendSocket;
  readonly #ledger: Ledger;
  readonly #gather: Gather;
  /** In place of `#gather` while the connection is shared. */
  #late: LateGather | null = null;
  readonly #turn: Turn;
  readonly #measures: Measures;
  readonly #onBug: (error: unknown) => void;
  readonly #statements: Lru<number, PresentStatement>;
  /** Pushed out by the bound, still on the backend until `closeEvicted`. */
  readonly #evicted = new Map<number, PresentStatement>();
  readonly #retired: Buffer[] = [];
  #unnamedStatement = 0;
  #unnamedPresent: PresentStatement | null = null;
  /**
   * Statements that are there unless PostgreSQL skips them for what came before them in their segment or, where the next may
   * be another session's, refuses them; known once the segment is complete. And the unnamed one's.
   */
  readonly #assumed = new Map<number, Segment>();
  #unnamedAssumed: Segment | null = null;
  #farewell: Buffer | null = null;
  #closed = false;
  #lateBytes = 0;
  #paused = false;

  constructor(options: ConnectionOptions) {
    this.backend = options.backend;
    this.processId = options.processId;
    this.secretKey = options.secretKey;
    this.tls = options.tls;
    this.parameters = options.parameters;
    this.loginSettings = options.settings;
    this.settings = options.settings;
    this.openedAtMs = options.openedAtMs;
    this.#socket = options.socket;
    this.#turn = options.turn;
    this.#measures = options.measures;
    this.#onBug = options.onBug;
    this.#ledger = new Ledger(this);
    this.#gather = new Gather(options.turn, options.socket);
    this.#statements = new Lru(options.maxStatements, (id, present) => {
      this.#evicted.set(id, present);
      this.#assumed.delete(id);
    });
    options.socket.onData((chunk) => this.#receive(chunk));
    options.socket.onClose(() => this.#end());
    options.socket.onDrain(() => this.#writableAgain());
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Segments whose ReadyForQuery has not come. */
  get owed(): number {
    return this.#ledger.owed;
  }

  /** Transaction status byte of the last ReadyForQuery. */
  get status(): number {
    return this.#ledger.status;
  }

  /** The connection ended in the middle of a message of which the client has seen the beginning. */
  get cutInside(): boolean {
    return this.#ledger.cutInside;
  }

  /** Enters a segment whose messages are written next. */
  push(segment: Segment): void {
    if (this.#ledger.owed === 0) {
      if (this.#assumed.size > 0) this.#assumed.clear();
      this.#unnamedAssumed = null;
    }
    this.#ledger.push(segment);
  }

  /** Adds the expected reply of the message that is written next to the segment's script. */
  step(segment: Segment, step: Step): void {
    segment.script?.append(step);
    if (step.action === 'emit') this.#ledger.stepped(segment);
  }

  /** Gathers bytes for this turn's write; borrowed until the turn ends. */
  write(slice: Buffer, start: number, end: number): void {
    this.#measures.backendSentBytes += end - start;
    if (this.#late === null) this.#gather.add(slice, start, end);
    else this.#late.add(slice, start, end);
  }

  /** From now on what many turns of one round of the event loop write leaves at once, or no longer. */
  gatherLate(late: boolean): void {
    if (late === (this.#late !== null)) return;
    this.#gather.flush();
    this.#late?.flush();
    this.#late = late ? new LateGather(this.#turn, this.#socket) : null;
  }

  /** Segments that were completed, ever. */
  get served(): number {
    return this.#ledger.served;
  }

  /** The sink that the backend works for at the moment, or null. */
  get servedSink(): SegmentSink | null {
    return this.#ledger.current?.sink ?? null;
  }

  /** What is owed to the sinks that `which` names is swallowed from now on, on account of another. */
  reassign(which: (sink: SegmentSink) => boolean, to: SegmentSink): void {
    this.#ledger.reassign(which, to);
  }

  /** More than a bound of unsent bytes has piled up: stop producing until `writable`. */
  get congested(): boolean {
    return this.#socket.writableLength > MAX_UNSENT_BYTES;
  }

  /** Stops reading from the backend: the client does not keep up. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  /** The text that the unnamed statement holds is not known any more, or there is none. */
  forgetUnnamed(): void {
    this.#unnamedStatement = 0;
    this.#unnamedPresent = null;
    this.#unnamedAssumed = null;
  }

  /** A Parse of the unnamed statement is written next into the segment. `types`: of all its parameters, if they are given. */
  setUnnamed(id: number, segment: Segment, types: string | null = null): PresentStatement {
    this.#unnamedStatement = id;
    this.#unnamedPresent = new PresentStatement(UNNAMED, this.#settingsForPlans, types);
    this.#unnamedAssumed = this.#late !== null || mayBeSkipped(segment) ? segment : null;
    return this.#unnamedPresent;
  }

  /** The unnamed statement, if it will be this one when the next message of the segment is read. */
  unnamed(id: number, segment: Segment): PresentStatement | null {
    if (this.#unnamedStatement !== id) return null;
    const assumedIn = this.#unnamedAssumed;
    return assumedIn === null || assumedIn === segment || assumedIn.complete ? this.#fitting(this.#unnamedPresent) : null;
  }

  /** The statement, if it will be there when the next message of the segment is read. */
  statement(id: number, segment: Segment): PresentStatement | null {
    const assumedIn = this.#assumed.get(id);
    if (assumedIn?.complete === true) this.#assumed.delete(id);
    else if (assumedIn !== undefined && assumedIn !== segment) return null;
    const present = this.#statements.get(id);
    if (present !== undefined) return this.#fitting(present);
    const evicted = this.#evicted.get(id);
    if (evicted === undefined) return null;
    this.#evicted.delete(id);
    this.#statements.set(id, evicted);
    return this.#fitting(evicted);
  }

  /** Prepared under other settings, it may mean another thing. */
  #fitting(present: PresentStatement | null): PresentStatement | null {
    return present === null || present.settings === this.#settingsForPlans ? present : null;
  }

  /** While they are not known, the number of the lease. */
  get #settingsForPlans(): SettingsSet | number {
    return this.settingsUnsure ? this.lease : this.settings.forPlans;
  }

  /** A Parse of it is written next into the segment. `types`: of all its parameters, if they are given. */
  addStatement(id: number, name: Buffer, segment: Segment, types: string | null = null): PresentStatement {
    const present = new PresentStatement(name, this.#settingsForPlans, types);
    this.#statements.set(id, present);
    this.#evicted.delete(id);
    if (this.#late !== null || mayBeSkipped(segment)) this.#assumed.set(id, segment);
    else this.#assumed.delete(id);
    return present;
  }

  removeStatement(id: number): void {
    this.#statements.delete(id);
    this.#assumed.delete(id);
  }

  /** The statement must be prepared anew before its next use: its plan no longer fits its result type. */
  retireStatement(id: number, name: Buffer): void {
    if (this.#unnamedStatement === id) this.forgetUnnamed();
    this.#statements.delete(id);
    this.#evicted.delete(id);
    this.#retired.push(name);
  }

  /** DISCARD ALL or DEALLOCATE ALL ran. */
  forgetStatements(): void {
    this.#statements.clear();
    this.#evicted.clear();
    this.#retired.length = 0;
    this.forgetUnnamed();
  }

  /** Closes statements that the bound pushed out, in a swallowed segment. To be called when nothing is owed. */
  closeEvicted(sink: SegmentSink): boolean {
    if (this.#evicted.size === 0 && this.#retired.length === 0) return false;
    this.push(new Segment('swallow', sink, null, null));
    for (const { name } of this.#evicted.values()) this.#closeStatement(name);
    for (const name of this.#retired) this.#closeStatement(name);
    this.write(SYNC, 0, SYNC.length);
    this.#evicted.clear();
    this.#retired.length = 0;
    return true;
  }

  /**
   * Ends the connection. As when a client leaves PostgreSQL itself: what runs is finished and nobody hears of it. Nobody is
   * told.
   */
  close(): void {
    if (this.#closed) return;
    this.holder = null;
    this.#closed = true;
    this.#gather.flush();
    this.#gather.drop();
    this.#late?.flush();
    this.#late?.drop();
    for (const segment of this.#ledger.abandon()) segment.script?.undoRest();
    // Paused, its buffer holds what a client was not sent yet: nothing may be read into it.
    if (this.#paused) this.#socket.destroy();
    else {
      this.#socket.write(TERMINATE);
      this.#socket.end();
    }
  }

  /** Its backend answers nobody: the holder decides what becomes of what is under way; without one it ends. */
  backendHangs(): void {
    if (this.holder === null) this.end();
    else this.holder.backendHangs(this);
  }

  /** Breaks the connection off: its holder is told that it was lost. */
  end(): void {
    this.#end();
  }

  #closeStatement(name: Buffer): void {
    const message = encodeCloseStatement(name);
    this.write(message, 0, message.length);
  }

  notification(slice: Buffer, start: number, end: number): void {
    this.holder?.notification(this, slice, start, end);
  }

  farewell(slice: Buffer, start: number, end: number): void {
    this.#farewell = Buffer.from(slice.subarray(start, end));
  }

  parameterChanged(name: string, value: string): void {
    this.parameters.set(name, value);
  }

  #receive(chunk: Buffer): void {
    if (this.#closed) {
      this.#passOver(chunk.length);
      return;
    }
    this.#measures.backendReceivedBytes += chunk.length;
    // What it brings is for many clients: those that are slow need it also when one of them has it paused.
    const isForMany = this.#late !== null;
    this.#turn.enter();
    try {
      this.#ledger.receive(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) this.#broken(error);
      this.#end();
    } finally {
      // Paused, it reads nothing before everything was taken: the buffer may be used again then.
      if (!this.#turn.leave() && (!this.#paused || isForMany)) this.#socket.retain();
    }
  }

  /** Nobody wants the rest. A short one is let in, so that what was asked is done; for a long one the backend is stopped. */
  #passOver(bytes: number): void {
    this.#lateBytes += bytes;
    if (this.#lateBytes > MAX_LATE_BYTES) this.#socket.destroy();
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#turn.enter();
    const holder = this.holder;
    try {
      this.#gather.drop();
      this.#late?.drop();
      this.holder = null;
      this.#socket.destroy();
      for (const segment of this.#ledger.abandon()) segment.sink.lost(segment);
      if (holder === null) this.onIdleLoss();
      else holder.connectionLost(this, this.#farewell);
    } catch (error) {
      this.holder = holder;
      this.#broken(error);
    } finally {
      this.#turn.leave();
    }
  }

  #broken(error: unknown): void {
    this.#onBug(error);
    this.holder?.broken(error);
  }

  #writableAgain(): void {
    if (this.#closed || this.congested) return;
    this.#turn.enter();
    try {
      this.holder?.writable(this);
    } catch (error) {
      this.#broken(error);
    } finally {
      this.#turn.leave();
    }
  }
}

const UNNAMED = Buffer.alloc(0);

/** Something of the client's stands before the next message in the segment: if it fails, PostgreSQL skips the message. */
function mayBeSkipped(segment: Segment): boolean {
  return segment.script?.mayFail === true;
}
