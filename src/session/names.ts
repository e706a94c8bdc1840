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
        const before = statements.unnamedVersion;
        message.statement = statements.define(name, text, typesSlice);
        this.#changesName(work, message, before);
        this.#mention(work, message.statement);
        return;
      }
      case FRONTEND.bind: {
        const { statement } = decodeBindNames(message.buffer, message.start, message.end);
        this.#refer(message, statement, work);
        return;
      }
      case FRONTEND.describe: {
        const { target, name } = decodeDescribe(message.buffer, message.start, message.end);
        if (target === 'statement') this.#refer(message, name, work);
        return;
      }
      case FRONTEND.close: {
        const { target, name } = decodeClose(message.buffer, message.start, message.end);
        if (target !== 'statement') return;
        message.name = name;
        message.previous = statements.get(name);
        const before = statements.unnamedVersion;
        statements.remove(name);
        this.#changesName(work, message, before);
        return;
      }
      case FRONTEND.execute:
        work.executes++;
        return;
      default:
    }
  }

  #changesName(work: Work, message: ClientMessage, before: number): void {
    if (message.name !== '') this.#state.namedBy = work;
    else {
      this.#state.unnamedBy = work;
      message.versions = { before, after: this.#state.statements.unnamedVersion };
    }
  }

  /** SQL's PREPARE may have given names on the session's connection. */
  get #mayHaveSqlNames(): boolean {
    const { pins, settling } = this.#state;
    return settling || pins.has('prepared statement') || this.#aftermath.due;
  }

  #refer(message: ClientMessage, name: string, work: Work): void {
    message.name = name;
    message.statement = this.#state.statements.get(name);
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
    if (this.#state.statements.size === 0 || this.#state.namedBy === work) return;
    for (const statement of facts.statements) {
      if (statement.kind !== 'prepare' && statement.kind !== 'execute' && statement.kind !== 'deallocate') continue;
      const known = statement.name === null ? null : this.#state.statements.get(statement.name);
      if (statement.name === null || known === null) continue;
      work.borrowed ??= new Map();
      work.borrowed.set(statement.name, known);
    }
  }

  /** DEALLOCATE ran on what was borrowed. */
  forgetDeallocated(work: Work): void {
    for (const { statements } of work.facts) {
      for (const statement of statements) {
        if (statement.kind === 'deallocate' && statement.name !== null) this.#state.statements.remove(statement.name);
      }
    }
  }

  /** Names that a failed batch would have changed mean again what they meant before. */
  takeBack(work: Work): void {
    if (work.skipped === null) return;
    for (const { message, failing } of work.skipped) {
      if (message.name === null) continue;
      // A Parse of the unnamed statement that fails has dropped the one before (exec_parse_message in postgres.c).
      const previous = failing && message.name === '' ? null : message.previous;
      if (message.versions !== null) this.#state.statements.restoreUnnamed(previous, message.versions);
      else this.#state.statements.restore(message.name, previous);
    }
    work.skipped = null;
  }

  takeBackAll(work: Work): void {
    for (const message of work.messages.toReversed()) {
      const changes = (message.type === FRONTEND.parse && !message.duplicate) || message.type === FRONTEND.close;
      if (changes && message.name !== null) this.#state.statements.restore(message.name, message.previous);
    }
  }
}
