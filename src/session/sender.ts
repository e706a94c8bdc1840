import type { BackendConnection } from '../backend/connection.ts';
import {
  Guard,
  type PresentStatement,
  plainStep,
  ReplyScript,
  restStep,
  Segment,
  type SegmentSink,
} from '../backend/exchange.ts';
import { STATEMENT_PREFIX } from '../backend/residue.ts';
import { settingsPrelude } from '../backend/settings-prelude.ts';
import { CLOSE_COMPLETE } from '../protocol/backend-encoders.ts';
import { FRONTEND } from '../protocol/codes.ts';
import { encodeClose, encodeParse, encodeQuery, encodeUnsynced, FLUSH, SYNC } from '../protocol/frontend-encoders.ts';
import { encodeCloseStatement, encodeDescribeStatement, rewriteBind, rewriteParse } from '../protocol/rewrite.ts';
import type { Facts } from '../sql/facts.ts';
import { bearsOnPlans, type SettingsSet } from '../util/settings-set.ts';
import type { LiftedRead } from './lifted-reads.ts';
import { ISOLATION_CHECK } from './optimism.ts';
import type { PreparedStatement } from './prepared-statements.ts';
import { CheckStep, droppedStep, NameStep, ObserveStep, ParseStep } from './steps.ts';
import type { ClientMessage, Work } from './work.ts';

/** The rest of a work, which waits for what PostgreSQL says of a statement in it. */
interface Held {
  readonly connection: BackendConnection;
  readonly work: Work;
  readonly segment: Segment;
  readonly messages: ClientMessage[];
  ended: boolean;
}

/**
 * Puts a work onto a connection: what must go ahead of it (settings, the deferred BEGIN), then its messages, with prepared
 * statements under the connection's names and those it does not have prepared first. All of it leaves in one write.
 *
 * Of a statement that the client was told the result of, PostgreSQL refuses to return another (0A000, `cached plan must not
 * change result type`), and drivers prepare it anew. It can tell only where it has the plan that it described. Where that is
 * prepared anew, a Describe of ours goes with it, and the client gets the same error in place of the reply if the result is
 * not what it was told (`result-shape.ts`), also when it asks to be told again with the portal: some drivers count the columns
 * once (DBD::Pg, PDO). A read outside a transaction runs meanwhile, for nothing if need be. All else
 * is held back until the answer has come, for a round trip, and then, if it does not fit, made to fail by PostgreSQL itself.
 */
export class Sender {
  readonly sink: SegmentSink;
  readonly #resumed: () => void;
  #held: Held | null = null;

  /**
   * @param sink gets the replies of all segments; their `work` is the work, also of swallowed ones.
   * @param resumed what was held back was sent: more may follow
   */
  constructor(sink: SegmentSink, resumed: () => void) {
    this.sink = sink;
    this.#resumed = resumed;
  }

  /** The rest of a work is held back: nothing else may be sent before it. */
  get holds(): boolean {
    return this.#held !== null && !this.#held.connection.closed;
  }

  /**
   * Sends what must go ahead of the work, and opens its segment. Messages follow with `message`.
   * @param settings what the connection is to have, null to leave it as it is; only outside a transaction
   * @param discardsSequences whether what the process remembers of sequences goes away, inside a transaction or outside
   */
  begin(
    connection: BackendConnection,
    work: Work,
    settings: SettingsSet | null,
    discardsSequences: 'inside' | 'outside' | null,
  ): Segment {
    work.sent = true;
    work.attempts++;
    connection.closeEvicted(this.sink);
    if (settings !== null) {
      this.#unsynced(connection, work, settingsPrelude(connection.settings, settings).map(encodeUnsynced), false);
      this.#swallowed(connection, work, COMMIT);
      connection.settings = settings;
    }
    // Each with a Sync of its own: not between the work and what it depends on.
    if (work.borrowed !== null) this.#lend(connection, work, work.borrowed);
    if (discardsSequences !== null) {
      this.#unsynced(connection, work, DISCARD_SEQUENCES[discardsSequences], false);
      connection.sequenceLease = -1;
    }
    if (work.beginsOnTrust) {
      work.guard ??= new Guard();
      this.#swallowed(connection, work, ISOLATION_CHECK);
    }
    if (work.begins !== null) {
      this.#unsynced(connection, work, work.begins.preamble, true);
      // What else it has set is reported by then, as the client has heard already.
      if (work.begins.preamble.length > 1) this.#swallowed(connection, work, EMPTY);
      if (work.begins.failed) this.#swallowed(connection, work, FAILING, null);
    }
    this.noteSettings(connection, work, 0);
    const isExtended = work.kind === 'batch' || work.lifted !== null;
    const segment = new Segment('forward', this.sink, work.guard, isExtended ? new ReplyScript() : null);
    segment.work = work;
    segment.hidesReady = work.endsInFlush || work.rest !== null;
    connection.push(segment);
    return segment;
  }

  /**
   * To be called before what is new of a work is sent: what is prepared behind it may be of use to nobody else.
   * @param from the first of its facts that were not there before
   */
  noteSettings(connection: BackendConnection, work: Work, from: number): void {
    if (!connection.settingsUnsure && mayChangeMeaning(work, from)) connection.settingsUnsure = true;
  }

  /** Sends one message, or the first piece of one. */
  message(connection: BackendConnection, work: Work, segment: Segment, message: ClientMessage): void {
    if (this.#held !== null && this.#held.segment === segment) {
      this.#held.messages.push(message);
      return;
    }
    switch (message.type) {
      case FRONTEND.parse:
        this.#parse(connection, work, segment, message);
        return;
      case FRONTEND.bind:
        this.#bind(connection, work, segment, message);
        return;
      case FRONTEND.describe:
        this.#describe(connection, work, segment, message);
        return;
      case FRONTEND.close:
        this.#close(connection, work, segment, message);
        return;
      case FRONTEND.execute:
        connection.step(segment, plainStep);
        break;
      case FRONTEND.query:
        connection.forgetUnnamed();
        connection.step(segment, restStep);
        break;
      case FRONTEND.functionCall:
        connection.step(segment, restStep);
        break;
      default:
    }
    connection.write(message.buffer, message.start, message.end);
  }

  /** Sends what stands in place of the work's Query. The client hears what a Query draws: no BindComplete. */
  lifted(connection: BackendConnection, work: Work, segment: Segment, { statement, messages }: LiftedRead): void {
    const { id, backendName } = statement;
    if (connection.statement(id, segment) === null) {
      this.#makeRoom(connection, segment, statement);
      connection.step(segment, new ParseStep(connection, work, { id, named: true }, null));
      const parse = parseMessage(statement, backendName.toString('latin1'));
      connection.write(parse, 0, parse.length);
    }
    connection.step(segment, droppedStep);
    connection.step(segment, plainStep);
    connection.step(segment, plainStep);
    connection.write(messages, 0, messages.length);
  }

  /** Behind the work's last message: names that existed only for an error's sake go away again. */
  end(connection: BackendConnection, work: Work): void {
    if (this.#held !== null && this.#held.work === work && this.#held.connection === connection) {
      this.#held.ended = true;
      return;
    }
    if (work.closeAfter === null) return;
    for (const name of work.closeAfter)
      this.#swallowed(connection, work, Buffer.concat([encodeClose('statement', name), SYNC]), null);
    work.closeAfter = null;
  }

  /**
   * SQL's EXECUTE, DEALLOCATE and PREPARE know the statements by the client's names. Whether a Parse fails is not asked:
   * then the statement that names it fails, too.
   */
  #lend(connection: BackendConnection, work: Work, borrowed: ReadonlyMap<string, PreparedStatement | null>): void {
    for (const [name, statement] of borrowed) {
      if (statement === null) continue;
      const segment = new Segment('swallow', this.sink, null, null);
      segment.work = work;
      connection.push(segment);
      const parse = Buffer.concat([parseMessage(statement, name), SYNC]);
      connection.write(parse, 0, parse.length);
      work.closeAfter ??= [];
      work.closeAfter.push(name);
    }
  }

  /** Statements on which what follows depends, each by `encodeUnsynced`. `isClients`: they are what the client said. */
  #unsynced(connection: BackendConnection, work: Work, statements: readonly Buffer[], isClients: boolean): void {
    work.guard ??= new Guard();
    const script = new ReplyScript();
    for (let replies = 0; replies < REPLIES_OF_UNSYNCED * statements.length; replies++) script.append(droppedStep);
    const segment = new Segment('swallow', this.sink, work.guard, script);
    segment.work = work;
    segment.synced = false;
    segment.isClients = isClients;
    connection.forgetUnnamed();
    connection.push(segment);
    for (const bytes of statements) connection.write(bytes, 0, bytes.length);
  }

  #swallowed(connection: BackendConnection, work: Work, bytes: Buffer, guard = work.guard): void {
    const segment = new Segment('swallow', this.sink, guard, null);
    segment.work = work;
    connection.forgetUnnamed();
    connection.push(segment);
    connection.write(bytes, 0, bytes.length);
  }

  #parse(connection: BackendConnection, work: Work, segment: Segment, message: ClientMessage): void {
    const statement = message.statement;
    if (message.duplicate && message.name !== null) {
      const taken = encodeParse(message.name, '');
      connection.step(segment, droppedStep);
      connection.write(taken, 0, taken.length);
      work.closeAfter ??= [];
      work.closeAfter.push(message.name);
      connection.step(segment, plainStep);
    } else if (statement === null) connection.step(segment, plainStep);
    else if (message.contested && message.name !== null) {
      // Under its own name it is there only to be refused if that is taken; what needs it prepares it under ours.
      connection.step(segment, new NameStep(work, message, null));
      connection.write(message.buffer, message.start, message.end);
      const close = encodeClose('statement', message.name);
      connection.step(segment, droppedStep);
      connection.write(close, 0, close.length);
      return;
    } else if (message.name === '') {
      connection.setUnnamed(statement.id, segment).preparedFor = statement.defined;
      connection.step(segment, new ParseStep(connection, work, { id: statement.id, named: false }, message));
    } else {
      // Anew, also where there is a plan already: tables may have changed since, and what the time of day is.
      this.#makeRoom(connection, segment, statement).preparedFor = statement.defined;
      connection.step(segment, new ParseStep(connection, work, { id: statement.id, named: true }, message));
      const { head, restStart } = rewriteParse(message, statement.backendName);
      connection.write(head, 0, head.length);
      connection.write(message.buffer, restStart, message.end);
      return;
    }
    connection.write(message.buffer, message.start, message.end);
  }

  #bind(connection: BackendConnection, work: Work, segment: Segment, message: ClientMessage): void {
    if (this.#ensure(connection, work, segment, message)) {
      this.#held = { connection, work, segment, messages: [message], ended: false };
      return;
    }
    connection.step(segment, plainStep);
    const name = nameOnBackend(message);
    if (name === null) {
      connection.write(message.buffer, message.start, message.end);
      return;
    }
    const { head, restStart } = rewriteBind(message, name);
    connection.write(head, 0, head.length);
    connection.write(message.buffer, restStart, message.end);
  }

  #describe(connection: BackendConnection, work: Work, segment: Segment, message: ClientMessage): void {
    const { definition } = message;
    const isPortal = message.name === null;
    if (!isPortal) this.#ensure(connection, work, segment, message);
    // The portal of an unnamed statement is described with every execution: nobody goes by that later.
    const observed = definition !== null && (definition.named || !isPortal) ? segment.observes : null;
    connection.step(segment, definition === null || observed === null ? plainStep : new ObserveStep(definition, observed));
    const name = nameOnBackend(message);
    if (name === null) connection.write(message.buffer, message.start, message.end);
    else {
      const renamed = encodeDescribeStatement(name);
      connection.write(renamed, 0, renamed.length);
    }
  }

  #dropUnnamed(connection: BackendConnection, segment: Segment): void {
    const close = encodeClose('statement', '');
    connection.forgetUnnamed();
    connection.step(segment, droppedStep);
    connection.write(close, 0, close.length);
  }

  /** A named statement stays on the connection for others; only the session forgets it. */
  #close(connection: BackendConnection, work: Work, segment: Segment, message: ClientMessage): void {
    const { name, previous } = message;
    if (name !== null && name !== '' && (previous !== null || name.startsWith(STATEMENT_PREFIX))) {
      connection.step(segment, new NameStep(work, message, CLOSE_COMPLETE));
      return;
    }
    if (name === '') connection.forgetUnnamed();
    // A portal, the unnamed statement, or a name that only SQL's PREPARE may have given.
    connection.step(segment, name === null ? plainStep : new NameStep(work, message, null));
    connection.write(message.buffer, message.start, message.end);
  }

  /**
   * A Close goes ahead of each Parse of ours: after a batch that failed, the connection may have a statement that was thought
   * to be skipped.
   */
  #makeRoom(
    connection: BackendConnection,
    segment: Segment,
    statement: PreparedStatement,
    types: string | null = null,
  ): PresentStatement {
    const close = encodeCloseStatement(statement.backendName);
    const present = connection.addStatement(statement.id, statement.backendName, segment, types);
    connection.step(segment, droppedStep);
    connection.write(close, 0, close.length);
    return present;
  }

  /**
   * Prepares the statement ahead of the message that needs it, unless the connection has it, with the result that the client
   * was told. Returns whether the message must wait until that was compared.
   */
  #ensure(connection: BackendConnection, work: Work, segment: Segment, message: ClientMessage): boolean {
    const { statement, definition, name } = message;
    const unnamed = name === '';
    segment.observes = null;
    if (statement === null) {
      // The client has none, which PostgreSQL is to say; on the connection there may be another client's.
      if (unnamed) this.#dropUnnamed(connection, segment);
      return false;
    }
    const told = definition?.told ?? null;
    const present = unnamed ? connection.unnamed(statement.id, segment) : connection.statement(statement.id, segment);
    // A plan serves those who had prepared its statement when it was made: others go by what their tables were later.
    const found = present !== null && present.preparedFor >= (definition?.number ?? 0) ? present : null;
    const types = definition?.types ?? null;
    const fits = found !== null && (types === null || found.types === types);
    if (fits && told !== null && found.shape === told) return false;
    // Behind an error PostgreSQL passes over everything.
    if (segment.failed || (found !== null && (told === null || segment.trusts?.get(found) === told))) {
      segment.observes = found;
      return false;
    }
    const made = unnamed
      ? connection.setUnnamed(statement.id, segment, types)
      : this.#makeRoom(connection, segment, statement, types);
    made.preparedFor = statement.defined;
    connection.step(segment, new ParseStep(connection, work, { id: statement.id, named: !unnamed }, null));
    const parse = parseMessage(statement, unnamed ? '' : statement.backendName.toString('latin1'), types);
    connection.write(parse, 0, parse.length);
    segment.observes = made;
    if (told === null || definition === null) return false;
    segment.trusts ??= new Map();
    segment.trusts.set(made, told);
    if (message.type === FRONTEND.describe) return false;
    const waits = !(work.retryable && work.autocommit);
    const resume = () => this.#resume(segment);
    connection.step(segment, new CheckStep(definition, told, made, resume));
    const describe = encodeDescribeStatement(unnamed ? Buffer.alloc(0) : statement.backendName);
    connection.write(describe, 0, describe.length);
    if (!waits) return false;
    segment.onError = resume;
    connection.write(FLUSH, 0, FLUSH.length);
    return true;
  }

  /** The answer has come, or an error: what was held back follows, also behind an error, where PostgreSQL passes over it. */
  #resume(segment: Segment): void {
    const held = this.#held;
    if (held === null || held.segment !== segment) return;
    this.#held = null;
    segment.onError = null;
    const { connection, work } = held;
    if (connection.closed) return;
    if (segment.mode === 'refused') connection.write(REFUSED, 0, REFUSED.length);
    for (const message of held.messages) this.message(connection, work, segment, message);
    if (held.ended) this.end(connection, work);
    if (this.#held === null) this.#resumed();
  }
}

const NOTHING: Pick<Facts, 'settings' | 'statements'> = { settings: new Set(), statements: [] };

/** It says that it changes settings that plans depend on, if only for its transaction. What functions do is not known. */
function mayChangeMeaning({ begins, facts }: Work, from: number): boolean {
  if (begins?.bearsOnPlans === true) return true;
  for (let index = from; index < facts.length; index++) {
    const { settings, statements } = facts[index] ?? NOTHING;
    for (const name of settings) if (bearsOnPlans(name)) return true;
    for (const statement of statements) {
      const { kind } = statement;
      if (kind === 'reset all' || kind === 'discard') return true;
      if ((kind === 'set' || kind === 'reset') && bearsOnPlans(statement.name)) return true;
    }
  }
  return false;
}

/** There is no such statement: it fails, and PostgreSQL passes over everything up to the Sync. */
const REFUSED = encodeDescribeStatement(Buffer.from(`${STATEMENT_PREFIX}none `, 'latin1'));

/** ParseComplete, BindComplete, CommandComplete. */
const REPLIES_OF_UNSYNCED = 3;

const COMMIT = encodeQuery('COMMIT');

/** Outside of a transaction in a block: without a Sync, what follows would be in one transaction with it. */
const DISCARD_SEQUENCES = {
  inside: [encodeUnsynced('DISCARD SEQUENCES')],
  outside: ['BEGIN', 'DISCARD SEQUENCES', 'COMMIT'].map(encodeUnsynced),
};

const EMPTY = encodeQuery('');

/** Fails in a transaction block without any other effect: there is no such savepoint. */
const FAILING = encodeQuery('ROLLBACK TO pgweir_none');

/** The name to put in place of the client's, or null to leave the message as it is. */
function nameOnBackend(message: ClientMessage): Buffer | null {
  if (message.name === null || message.name === '') return null;
  if (message.statement !== null) return message.statement.backendName;
  // The client has no such statement. PostgreSQL is to say so, also when the connection has one of ours by that name.
  return message.name.startsWith(STATEMENT_PREFIX) ? Buffer.from(`${message.name} `, 'latin1') : null;
}

/** @param told the types of its parameters that the client goes by, null for those that it gave */
function parseMessage(statement: PreparedStatement, name: string, told: string | null = null): Buffer {
  const given = told === null ? statement.types : Buffer.from(told, 'latin1');
  const types: number[] = [];
  for (let at = 2; at + 4 <= given.length; at += 4) types.push(given.readUInt32BE(at));
  return encodeParse(name, statement.text, types);
}
