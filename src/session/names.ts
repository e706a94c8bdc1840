import { FRONTEND } from '../protocol/codes.ts';
import { decodeBindNames, decodeClose, decodeDescribe, decodeParse } from '../protocol/frontend-decoders.ts';
import type { Facts } from '../sql/facts.ts';
import { OperationalError } from '../util/errors.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { Aftermath } from './aftermath.ts';
import { changesNames } from './order.ts';
import type { ScanMode, StatementPort } from './ports.ts';
import type { PreparedStatement } from './prepared-statements.ts';
import { scanMode as scanModeOf } from './scan-mode.ts';
import type { SessionState } from './state.ts';
import type { ClientMessage, Work } from './work.ts';

/**
 * What the client's names for prepared statements mean, message by message as they are sent, and what is known of the
 * statements: names change when a message is read, and change back when PostgreSQL refuses or skips it.
 */
export class Names {
  readonly #state: SessionState;
  readonly #port: StatementPort;
  readonly #aftermath: Aftermath;
  /** Settings as the server reported them at login. */
  readonly #reported: ReadonlyMap<string, string>;
  #scannedSettings: SettingsSet | null = null;
  #scan: ScanMode = 'standard';

  constructor(state: SessionState, port: StatementPort, aftermath: Aftermath, reported: ReadonlyMap<string, string>) {
    this.#state = state;
    this.#port = port;
    this.#aftermath = aftermath;
    this.#reported = reported;
  }

  /** Finds out which statement a message is about, and takes down what its name means from now on. */
  resolve(message: ClientMessage, work: Work, whole: boolean): void {
    const { statements } = this.#state;
    switch (message.type) {
      case FRONTEND.parse: {
        if (!whole) {
          throw new OperationalError('statement_memory', 'prepared statement is too long to be kept', {
            hint: 'Send it as a simple query.',
          });
        }
        const { name, text, typesSlice } = decodeParse(message.buffer, message.start, message.end);
        message.name = name;
        message.previous = statements.get(name);
        message.duplicate = name !== '' && message.previous !== null;
        if (message.duplicate) {
          work.facts.push(this.#port.opaque('text does not parse'));
          return;
        }
        message.contested = name !== '' && (this.#mayHaveSqlNames || changesNames(work));
        message.statement = statements.define(name, text, typesSlice).statement;
        this.#changesName(work, message);
        this.#mention(work, message.statement);
        return;
      }
      case FRONTEND.bind: {
        const { portal, statement } = decodeBindNames(message.buffer, message.start, message.end);
        this.#refer(message, statement, work);
        work.bound = message.definition;
        work.boundTo = portal;
        return;
      }
      case FRONTEND.describe: {
        const { target, name } = decodeDescribe(message.buffer, message.start, message.end);
        if (target === 'statement') this.#refer(message, name, work);
        else if (work.boundTo === name) message.definition = work.bound;
        return;
      }
      case FRONTEND.close: {
        const { target, name } = decodeClose(message.buffer, message.start, message.end);
        if (target !== 'statement') return;
        message.name = name;
        message.previous = statements.get(name);
        // Of a name that is not known here, PostgreSQL may know by SQL's PREPARE.
        if (message.previous === null) return;
        statements.remove(name);
        this.#changesName(work, message);
        return;
      }
      case FRONTEND.execute:
        work.executes++;
        return;
      default:
    }
  }

  #changesName(work: Work, message: ClientMessage): void {
    if (message.name !== '') this.changesNamed(work);
    else {
      this.#state.unnamedBy = work;
      message.change = this.#state.statements.unnamedChange;
      work.unnamedChange = message.change;
    }
  }

  /** The work gives or takes away names. */
  changesNamed(work: Work): void {
    const { namedBy } = this.#state;
    if (!namedBy.includes(work)) namedBy.push(work);
  }

  /** SQL's PREPARE may have given names on the session's connection. */
  get #mayHaveSqlNames(): boolean {
    const { pins, settling } = this.#state;
    return settling || pins.has('prepared statement') || this.#aftermath.due;
  }

  #refer(message: ClientMessage, name: string, work: Work): void {
    message.name = name;
    message.definition = this.#state.statements.get(name);
    message.statement = message.definition?.statement ?? null;
    if (message.statement !== null) this.#mention(work, message.statement);
    else work.facts.push(this.#port.opaque('text does not parse'));
  }

  /** The work runs or describes the statement: its facts count, once. */
  #mention(work: Work, statement: PreparedStatement): void {
    if (work.lastMentioned === statement) return;
    for (const earlier of work.messages) if (earlier.statement === statement) return;
    work.lastMentioned = statement;
    work.text = statement.text;
    const scan = this.scanMode();
    const catalog = this.#port.catalog();
    this.noteFacts(work, statement.factsUnder(this.#port, catalog, scan));
  }

  factsOf(text: string | null): Facts {
    return text === null
      ? this.#port.opaque('text too long to parse')
      : this.#port.facts(text, this.#port.catalog(), this.scanMode());
  }

  scanMode(): ScanMode {
    const { settings } = this.#state;
    if (settings !== this.#scannedSettings) {
      this.#scannedSettings = settings;
      this.#scan = scanModeOf(settings, this.#reported);
    }
    return this.#scan;
  }

  /** Takes down the facts of what the work runs, and the prepared statements that its SQL mentions by name. */
  noteFacts(work: Work, facts: Facts): void {
    work.facts.push(facts);
    const { statements: known, namedBy } = this.#state;
    if ((known.size === 0 && namedBy.length === 0) || namedBy.at(-1) === work) return;
    for (const statement of facts.statements) {
      if (statement.kind !== 'prepare' && statement.kind !== 'execute' && statement.kind !== 'deallocate') continue;
      if (statement.name === null || (known.get(statement.name) === null && namedBy.length === 0)) continue;
      work.borrowed ??= new Map();
      work.borrowed.set(statement.name, known.get(statement.name)?.statement ?? null);
    }
  }

  /** What the names that the work's SQL mentions mean now that everything before it was answered. */
  settleBorrowed(work: Work): void {
    if (work.borrowed === null) return;
    for (const name of work.borrowed.keys()) work.borrowed.set(name, this.#state.statements.get(name)?.statement ?? null);
  }

  /** The work was done as a whole. */
  confirm(work: Work): void {
    this.#settle(work);
    if (work.unnamedChange !== null) this.#state.statements.confirmUnnamed(work.unnamedChange);
    if (work.borrowed === null) return;
    for (const { statements } of work.facts) {
      for (const statement of statements) {
        if (statement.kind === 'deallocate' && statement.name !== null) this.#state.statements.remove(statement.name);
      }
    }
  }

  /** Names that a failed batch would have changed mean again what they meant before. */
  takeBack(work: Work): void {
    this.#settle(work);
    if (work.skipped === null) return;
    for (const { message, failing } of work.skipped) this.#takeBack(message, failing);
    work.skipped = null;
  }

  /** As if the work had never been; nothing of its reply was sent. */
  takeBackAll(work: Work): void {
    // Of one whose messages were not kept, none was answered.
    if (work.messages.length === 0) {
      this.takeBack(work);
      return;
    }
    this.#settle(work);
    for (const message of work.messages.toReversed()) {
      const changes = (message.type === FRONTEND.parse && !message.duplicate) || message.type === FRONTEND.close;
      if (changes) this.#takeBack(message, false);
    }
  }

  #settle(work: Work): void {
    const { namedBy } = this.#state;
    if (namedBy.length > 0 && namedBy.includes(work)) namedBy.splice(namedBy.indexOf(work), 1);
  }

  #takeBack({ type, name, previous, change }: ClientMessage, failing: boolean): void {
    const { statements } = this.#state;
    if (name === null || (type === FRONTEND.close && previous === null)) return;
    if (name !== '') statements.restore(name, previous);
    else if (change !== null) {
      if (failing) statements.failUnnamed(change);
      else statements.skipUnnamed(change);
    }
  }
}
