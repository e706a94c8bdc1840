import type { BackendConnection } from '../backend/connection.ts';
import { type Answer, Question } from '../backend/question.ts';
import { changedSettingsQuery, currentSettingsQuery, RESIDUE_QUERY, readResidue } from '../backend/residue.ts';
import { TRANSACTION_STATUS } from '../protocol/codes.ts';
import type { Facts, StatementFacts } from '../sql/facts.ts';
import { readSettingCode, SETTING_CODE_QUERY, type SettingCode, UNREAD_CODE } from '../sql/setting-code.ts';
import type { Clock } from '../util/clock.ts';
import type { Measures } from '../util/measures.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import { CustomSettings, type Inquiry, type Maker } from './custom-settings.ts';
import { resetsAll } from './losses.ts';
import type { LeasePort, StatementPort } from './ports.ts';
import { advancesSequence, asksForSequence } from './sequence-values.ts';
import type { PinReason, SessionState } from './state.ts';
import type { Work } from './work.ts';

/**
 * What statements leave behind: changed settings, which travel with the session, and residue, which pins it.
 *
 * A SET of one literal outside a transaction is simply remembered. Everything else is not guessed: before the lease would be
 * returned, the connection itself is asked, for the settings whose names are known, or for all of them and for residue when
 * a statement may have done anything. So rolled back transactions, savepoints and functions need no rules of ours.
 */
export class Aftermath {
  readonly #state: SessionState;
  readonly #measures: Measures;
  readonly #clock: Clock;
  readonly #statements: StatementPort;
  readonly #custom = new CustomSettings();
  /** What the database's code does to them, when it was asked for the next question's sake. */
  #code: SettingCode | null = null;
  /** Settings to ask for by name. */
  readonly #touched = new Set<string>();
  #askResidue = false;
  #askAllSettings = false;
  /** Questions under way. */
  #open = 0;
  /** Questions in a row that were refused. */
  #refused = 0;
  /** A statement took a lock that outlives its transaction. */
  #mayHoldLock = false;
  /** A setting may have been reset to what the connection began with. */
  #mayBeReset = false;

  /** When the session last looked at what its process has counted (ms of the clock). */
  #lookedAtCountersMs = 0;

  constructor(state: SessionState, statements: StatementPort, measures: Measures, clock: Clock) {
    this.#state = state;
    this.#statements = statements;
    this.#measures = measures;
    this.#clock = clock;
  }

  /** Something must be asked before the connection may go. */
  get due(): boolean {
    return this.#askResidue || this.#askAllSettings || this.#touched.size > 0;
  }

  /**
   * The connection is lost. Returns whether state of the session is lost with it, of which the client was told that it is
   * there: what was due to be asked, unless the loss has rolled it back.
   */
  lost(inTransaction: boolean): boolean {
    const lost = this.#open > 0 || this.#mayHoldLock || (this.due && !inTransaction);
    this.#open = 0;
    this.#touched.clear();
    this.#custom.forget();
    this.#askAllSettings = false;
    this.#askResidue = false;
    this.#mayHoldLock = false;
    return lost;
  }

  /** What the work means for currval() and lastval(), of which the leases remember whether clients ask for them. */
  noteSequence(work: Work, connection: BackendConnection, leases: LeasePort): void {
    const advances = advancesSequence(work);
    if (advances) {
      connection.sequenceLease = connection.lease;
      this.#state.lastSequence = { connection, lease: connection.lease };
    }
    const asks = asksForSequence(work);
    // Or a default will, without a word of the client.
    if (asks || work.facts.some(({ sessionState }) => sessionState === 'sequence default')) leases.noteSequenceValuesAsked();
    const areAsked = leases.sequenceValuesAsked && (advances || asks);
    if (areAsked && this.#state.lastSequence?.connection === connection) this.#pin('sequence value');
  }

  /** The connection is gone, or its session is: nobody else minds what was kept there for the session's sake alone. */
  letGo(): void {
    this.settleCounters(true);
    this.#unpin('sequence value');
  }

  /**
   * Lifts the pin of a session that has not looked at the counters of its process for long, or whose process is `gone`:
   * nothing but they were kept there.
   */
  settleCounters(gone: boolean): void {
    if (!this.#state.pins.has('activity counters')) return;
    if (gone || this.#clock.now() - this.#lookedAtCountersMs > COUNTERS_WATCHED_MS) this.#unpin('activity counters');
  }

  /** These settings may have been changed. */
  touch(names: Iterable<string>): void {
    for (const name of names) this.#touched.add(name);
  }

  /** Takes note of a work that ran on a connection. `outside`: it was not part of a transaction, before nor after. */
  note(work: Work, connection: BackendConnection, failed: boolean, outside: boolean): void {
    // Outside a transaction no portal waits to be run later.
    if (outside && !work.ran) return;
    const only = work.onlyStatement;
    if (this.#state.pins.has('unnamed setting') && !failed && isLoneReset(work)) {
      const outsideBlock = connection.status === TRANSACTION_STATUS.idle && this.#state.transaction === 'idle';
      if (outsideBlock) this.#unpin('unnamed setting');
    }
    // A SET that failed has not left what a library would refuse.
    const leaves = work.facts[0]?.residue.has('library') === true && !(failed && only?.kind === 'set');
    const isPlain = only !== null && outside && !leaves;
    if (isPlain && this.#simple(only, connection, failed)) return;
    // A procedure may have committed before it failed.
    const undone = failed && outside && only !== null && work.facts[0]?.reason !== 'procedure or code block';
    if (work.said !== null && !undone) this.#custom.add(work.said);
    // A lone statement that failed has not dropped any statement of the session; of several, one may have before.
    const dropped = work.ran && !(failed && only !== null) ? connection : null;
    for (const facts of work.facts) {
      // Nothing of a text that PostgreSQL did not understand has run.
      if (!failed || facts.reason !== 'text does not parse') this.#noteFacts(facts, dropped);
    }
  }

  /**
   * Asks what is due, or what must be known before; `done` is called when the answers are in, unless the connection is lost
   * first. Then more may be due. All questions are sent at once: what the client sends meanwhile may begin a transaction.
   */
  ask(connection: BackendConnection, done: () => void): void {
    const all = this.#askAllSettings;
    const code = all ? (this.#statements.settingCode() ?? this.#code) : UNREAD_CODE;
    if (code === null) {
      this.#askCode(connection, done);
      return;
    }
    this.#code = null;
    if (all) {
      connection.mayHideSettings = true;
      for (const name of this.#state.settings.entries.keys()) if (name.includes('.')) this.#touched.add(name);
    }
    const names = [...this.#touched];
    const residue = this.#askResidue;
    const mayBeReset = this.#mayBeReset;
    const mayHoldLock = this.#mayHoldLock;
    this.#mayBeReset = false;
    this.#touched.clear();
    this.#askAllSettings = false;
    this.#askResidue = false;
    this.#mayHoldLock = false;
    this.#open = (names.length > 0 ? 1 : 0) + (all ? 1 : 0) + (residue ? 1 : 0);
    // A question may be cancelled like any statement, by its client's statement_timeout, say.
    const answered = (read: (answer: Answer) => boolean, askAgain: () => void) => (answer: Answer, status: number) => {
      if (status === 0) return;
      if (answer === null && this.#refused < MAX_REFUSED) {
        this.#refused++;
        askAgain();
      } else {
        this.#refused = 0;
        if (!read(answer)) this.#pin('state unknown');
      }
      if (--this.#open === 0) done();
    };
    if (all) {
      const inquiry = this.#custom.take(code);
      Question.ask(
        connection,
        changedSettingsQuery(inquiry.candidates),
        answered(
          (answer) => this.#readAll(answer, connection, inquiry),
          () => {
            this.#askAllSettings = true;
            this.#custom.putBack(inquiry);
          },
        ),
      );
    }
    if (names.length > 0) {
      Question.ask(
        connection,
        currentSettingsQuery(names),
        answered(
          (answer) => this.#readNamed(names, answer, connection, mayBeReset),
          () => {
            this.touch(names);
            this.#mayBeReset ||= mayBeReset;
          },
        ),
      );
    }
    if (residue)
      Question.ask(
        connection,
        RESIDUE_QUERY,
        answered(
          (answer) => this.#readResidue(answer, connection),
          () => {
            this.#askResidue = true;
            this.#mayHoldLock ||= mayHoldLock;
          },
        ),
      );
  }

  /** What ran last was rolled back with its transaction. */
  rolledBack(): void {
    this.#custom.forget();
  }

  /** Finds out what functions there are that set settings with a name of their own. */
  #askCode(connection: BackendConnection, done: () => void): void {
    const learn = this.#statements.learnsSettingCode();
    Question.ask(connection, SETTING_CODE_QUERY, (answer, status) => {
      if (status === 0) return;
      const code = answer === null ? null : readSettingCode(answer);
      if (code !== null) learn(code);
      this.#code = code ?? UNREAD_CODE;
      done();
    });
  }

  /**
   * Takes settings away that nobody knows of. A function may have made up a name (`app.tenant`), and PostgreSQL shows such
   * settings only to those who ask for them by name: the next session on the connection would.
   */
  static uncover(connection: BackendConnection, done: () => void): void {
    connection.mayHideSettings = false;
    connection.settings = withIdentityOf(connection.loginSettings, connection.settings);
    Question.ask(connection, 'RESET ALL', (answer, status) => {
      if (answer !== null) done();
      else if (status !== 0) connection.end();
    });
  }

  /** A lone statement outside a transaction whose effect is plain. Returns whether nothing more need be done. */
  #simple(statement: StatementFacts, connection: BackendConnection, failed: boolean): boolean {
    const state = this.#state;
    switch (statement.kind) {
      case 'set':
        if (failed || statement.local || isTransactional(statement.name)) return true;
        if (MERGED.has(statement.name)) return false;
        if (statement.value === null) return this.#reset(statement.name, statement.toDefault, connection);
        state.settings = changed(state.settings, statement.name, statement.value);
        connection.settings = changed(connection.settings, statement.name, statement.value);
        this.#noteEncoding(statement.name);
        return true;
      case 'reset':
        return failed || isTransactional(statement.name) || this.#reset(statement.name, true, connection);
      case 'reset all':
        if (!failed) this.#resetAll(connection);
        return true;
      case 'show':
        return true;
      case 'discard':
        if (failed || statement.target !== 'all') return false;
        this.#resetAll(connection);
        for (const name of ['role', 'session_authorization']) this.#reset(name, true, connection);
        connection.forgetStatements();
        state.statements.clearNamed();
        this.#discardedAll();
        this.#askResidue = state.pinned;
        return true;
      default:
        return false;
    }
  }

  /** A RESET ran: the connection has its login value again, the session the one it began with. */
  #reset(name: string, known: boolean, connection: BackendConnection): boolean {
    if (!known) return false;
    const state = this.#state;
    state.settings = changed(state.settings, name, state.baseSettings.entries.get(name) ?? null);
    connection.settings = changed(connection.settings, name, connection.loginSettings.entries.get(name) ?? null);
    this.#noteEncoding(name);
    return true;
  }

  /** In another encoding, values that are not ASCII are other bytes: they are asked for. */
  #noteEncoding(changedName: string): void {
    if (changedName !== 'client_encoding') return;
    for (const [name, value] of this.#state.settings.entries) if (NOT_ASCII.test(value)) this.#touched.add(name);
  }

  /** RESET ALL leaves role and session authorization as they are. */
  #resetAll(connection: BackendConnection): void {
    const state = this.#state;
    state.settings = withIdentityOf(state.baseSettings, state.settings);
    connection.settings = withIdentityOf(connection.loginSettings, connection.settings);
  }

  /** `connection`: null when no prepared statements can have been dropped. */
  #noteFacts(facts: Facts, connection: BackendConnection | null): void {
    if (facts.changesCatalog) this.#code = null;
    for (const statement of facts.statements) this.#noteStatement(statement, connection);
    for (const risk of facts.residue) {
      if (risk === 'settings') this.#askAllSettings = true;
      else if (risk === 'activity counters') this.#watchCounters();
      else if (risk === 'unknown') {
        this.#askAllSettings = true;
        this.#askResidue = true;
      } else if (risk === 'process state') this.#pin('process state');
      else if (risk === 'library') {
        this.#pin('process state');
        // It takes settings away that bear its name and that it does not know.
        this.#askAllSettings = true;
      } else if (risk !== 'sequence value') this.#askResidue = true;
      if (risk === 'advisory lock') this.#mayHoldLock = true;
      if (risk === 'unknown' || risk === 'temporary object') this.#state.hasLeftTraces = true;
    }
    for (const name of facts.settings) this.#touch(name);
    if (this.#state.pinned && (facts.changesCatalog || facts.reason === 'session control')) this.#askResidue = true;
  }

  #noteStatement(statement: StatementFacts, connection: BackendConnection | null): void {
    switch (statement.kind) {
      case 'set':
      case 'reset':
        this.#touch(statement.name);
        if (statement.kind === 'reset' || statement.toDefault) this.#mayBeReset = true;
        return;
      case 'set characteristics':
        for (const name of CHARACTERISTICS) this.#touched.add(name);
        return;
      case 'reset all':
        this.#touchEverything();
        return;
      case 'discard':
        this.#askResidue = true;
        if (statement.target === 'sequences') this.#forgetSequences();
        if (statement.target !== 'all') return;
        this.#discardedAll();
        this.#touchEverything();
        this.#forgetStatements(connection);
        return;
      case 'deallocate':
        if (statement.name === null) this.#forgetStatements(connection);
        this.#askResidue = this.#askResidue || this.#state.pinned;
        return;
      case 'unlisten':
        this.#askResidue = true;
        return;
      case 'close cursor':
        if (this.#state.pins.has('held cursor')) this.#askResidue = true;
        return;
      default:
    }
  }

  #touch(name: string): void {
    if (!isTransactional(name)) this.#touched.add(name);
    if (name === 'session_authorization') this.#touched.add('role');
  }

  #forgetStatements(connection: BackendConnection | null): void {
    if (connection === null) return;
    connection.forgetStatements();
    this.#state.statements.clearNamed();
  }

  #touchEverything(): void {
    this.#askAllSettings = true;
    this.#mayBeReset = true;
    for (const name of this.#state.settings.entries.keys()) this.#touched.add(name);
  }

  #readNamed(names: readonly string[], answer: Answer, connection: BackendConnection, mayBeReset: boolean): boolean {
    const row = answer?.[0];
    if (row === undefined || row.length !== names.length) return false;
    for (const [index, name] of names.entries()) {
      const value = row[index] ?? null;
      // Back at what the connection began with; the session may have begun with something else.
      const isReset = mayBeReset && value !== null && value === connection.loginSettings.entries.get(name);
      if (isReset) this.#reset(name, true, connection);
      else this.#learn(name, value, connection);
    }
    return true;
  }

  #readAll(answer: Answer, connection: BackendConnection, { candidates, makers }: Inquiry): boolean {
    if (answer === null) return false;
    const changedOnes = new Set<string>();
    for (const [name, value] of answer) {
      if (name === null || name === undefined || value === undefined) return false;
      const lower = name.toLowerCase();
      changedOnes.add(lower);
      const unset = lower === 'session_authorization' && !connection.settings.entries.has(lower);
      // That the process has heard of the name before: others may have used it there.
      const isEmpty = value === '' && candidates.has(lower) && !this.#state.settings.entries.has(lower);
      if (!unset && !isEmpty) this.#learn(lower, value, connection);
    }
    const spokenOf = ({ named, words }: Maker) => [...changedOnes].some((name) => named.has(name) || words.has(name));
    if (!makers.every(spokenOf)) this.#pin('unnamed setting');
    // What is not among them any more was reset. Of the settings of extensions that are not loaded nothing is said.
    for (const [name, value] of connection.settings.entries) {
      const isKnown = !name.includes('.') && value !== connection.loginSettings.entries.get(name);
      if (isKnown && !changedOnes.has(name)) this.#reset(name, true, connection);
    }
    return true;
  }

  /** The connection has this value now, so the session has it. */
  #learn(name: string, value: string | null, connection: BackendConnection): void {
    const state = this.#state;
    const present = name === 'role' && value === 'none' ? null : value;
    if (state.settings.entries.get(name) !== (present ?? undefined)) this.#noteEncoding(name);
    state.settings = changed(state.settings, name, present, false);
    connection.settings = changed(connection.settings, name, present, false);
  }

  #readResidue(answer: Answer, connection: BackendConnection): boolean {
    const row = answer?.[0];
    const read = row === undefined ? null : readResidue(row);
    if (read === null) return false;
    const { residue, hasTemporarySchema } = read;
    connection.hasTemporarySchema = hasTemporarySchema;
    for (const reason of [...this.#state.pins]) {
      const isStill = NOT_ASKED_FOR.has(reason) || (residue as ReadonlySet<PinReason>).has(reason);
      if (!isStill) this.#unpin(reason);
    }
    for (const reason of residue) this.#pin(reason);
    return true;
  }

  /** What is left on a replica hinders no write: there the session goes on without it, and nobody else meets it. */
  #pin(reason: PinReason): void {
    if (this.#state.mode === 'split' && !this.#state.activeIsPrimary) {
      this.#state.spoilt = true;
      return;
    }
    if (this.#state.pins.has(reason)) return;
    this.#state.pins.add(reason);
    this.#measures.pins.inc(reason);
  }

  #discardedAll(): void {
    this.#unpin('activity counters');
    this.#forgetSequences();
  }

  #forgetSequences(): void {
    this.#unpin('sequence value');
    this.#state.lastSequence = null;
  }

  #unpin(reason: PinReason): void {
    if (this.#state.pins.delete(reason)) this.#measures.unpins.inc(reason);
  }

  /** Replicas count for themselves: which of them, the session cannot choose. */
  #watchCounters(): void {
    if (!this.#state.activeIsPrimary) return;
    this.#lookedAtCountersMs = this.#clock.now();
    this.#pin('activity counters');
  }
}

/** A question is asked this often again before what it is about counts as unknown. Ours. */
const MAX_REFUSED = 3;

/** No question tells whether they are still there. */
const NOT_ASKED_FOR: ReadonlySet<PinReason> = new Set([
  'process state',
  'activity counters',
  'sequence value',
  'unnamed setting',
]);

/** Counts are in the views this long after, at the latest. Source: PGSTAT_MAX_INTERVAL, pgstat.c. */
const COUNTERS_WATCHED_MS = 60_000;

/** RESET ALL or DISCARD ALL. */
function isLoneReset(work: Work): boolean {
  return work.ran && work.onlyStatement !== null && work.facts.some(resetsAll);
}

const NOT_ASCII = /[\x80-\xff]/;

/** What SET SESSION CHARACTERISTICS changes. */
const CHARACTERISTICS = ['default_transaction_isolation', 'default_transaction_read_only', 'default_transaction_deferrable'];

/** A SET of it may say a part of its value only, and leave the rest as it was. Source: check_datestyle, variable.c. */
const MERGED: ReadonlySet<string> = new Set(['datestyle']);

/** Settings of the current transaction only, which no connection keeps, and `seed`, whose value cannot be read. */
const TRANSACTIONAL: ReadonlySet<string> = new Set([
  'transaction_isolation',
  'transaction_read_only',
  'transaction_deferrable',
  'seed',
]);

export function isTransactional(name: string): boolean {
  return TRANSACTIONAL.has(name);
}

/** The settings with one of another value, null for none. Another session user acts in its own role (miscinit.c). */
function changed(
  settings: SettingsSet,
  name: string,
  value: string | null,
  losesRole = name === 'session_authorization',
): SettingsSet {
  const rest = losesRole ? settings.without('role') : settings;
  return value === null ? rest.without(name) : rest.with(name, value);
}

function withIdentityOf(settings: SettingsSet, identity: SettingsSet): SettingsSet {
  let result = settings;
  for (const name of ['role', 'session_authorization']) {
    const value = identity.entries.get(name);
    if (value !== undefined) result = result.with(name, value);
  }
  return result;
}
