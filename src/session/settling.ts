import type { BackendConnection } from '../backend/connection.ts';
import { Question } from '../backend/question.ts';
import { Aftermath } from './aftermath.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Intake } from './intake.ts';
import type { LeasePort } from './ports.ts';
import type { SessionState } from './state.ts';

export interface SettlingParts {
  readonly state: SessionState;
  readonly aftermath: Aftermath;
  readonly dispatcher: Dispatcher;
  readonly intake: Intake;
  readonly leases: LeasePort;
  /** A question of ours was answered: what waited for it may go on. */
  readonly onAnswer: () => void;
}

/** Gives the active connection back once nothing is owed on it, and it is known what was left there. */
export class Settling {
  readonly #parts: SettlingParts;

  constructor(parts: SettlingParts) {
    this.#parts = parts;
  }

  /** Something came to its end that may have been the last to be waited for. */
  proceed(): void {
    const { state, aftermath, dispatcher, intake } = this.#parts;
    const connection = state.active;
    if (connection === null && state.shared === null) dispatcher.retry();
    if (connection === null || state.settling || state.works.length > 0 || state.expectsTransaction) return;
    if (connection.owed > 0 || intake.insideCopy || connection.cancelsInFlight > 0) return;
    if (connection.cancelled) {
      connection.cancelled = false;
      this.#ask((done) => Question.ask(connection, ';', (_answer, status) => status !== 0 && done()));
    } else if (aftermath.due) this.#ask((done) => aftermath.ask(connection, done));
    else if (connection.mayHideSettings && !dispatcher.keeps) this.#ask((done) => Aftermath.uncover(connection, done));
    else {
      aftermath.settleCounters(false);
      dispatcher.release();
      dispatcher.releaseHome();
      dispatcher.retry();
    }
  }

  /** The client has gone: what it `held` is given back, cleaned or closed. `mayBeCut`: some of it waits for a slow client. */
  leave(held: { readonly active: BackendConnection | null; readonly home: BackendConnection | null }, mayBeCut: boolean): void {
    const { state, aftermath, intake, leases } = this.#parts;
    aftermath.letGo();
    const answered = state.works.length === 0;
    const clean = answered && state.transaction === 'idle' && !state.settling && !aftermath.due;
    for (const connection of new Set([held.active, held.home])) {
      if (connection === null) continue;
      connection.holder = null;
      const plain = connection.owed === 0 && !connection.congested && !connection.mayHideSettings;
      const quiet = plain && !connection.cancelled && connection.cancelsInFlight === 0;
      const cut = connection === held.active && (intake.insideCopy || mayBeCut);
      // What clients asked, this one or those that shared it, may take any time; what we asked is answered at once.
      const busy = connection.owed > 0 && !(answered && state.settling);
      if (cut || busy || state.pins.has('process state')) leases.discard(connection);
      else if (clean && quiet && !state.pinned) leases.give(connection);
      else leases.abandon(connection);
    }
  }

  #ask(question: (done: () => void) => void): void {
    const { state, onAnswer } = this.#parts;
    state.settling = true;
    question(() => {
      state.settling = false;
      if (!state.expectsTransaction) this.proceed();
      onAnswer();
    });
  }
}
