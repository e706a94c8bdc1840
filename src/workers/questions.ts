import type { Clock } from '../util/clock.ts';
import type { Answer, Ask, Outcome, Question } from './messages.ts';

interface Waiting {
  readonly resolve: (outcome: Outcome) => void;
  readonly cancelTimer: () => void;
}

/** Questions that this process has put to the other end of a channel. */
export class Questions {
  readonly #send: (question: Question) => void;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  constructor(send: (question: Question) => void, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /** Resolves with the answer; never rejects. Without an answer in time it has failed. */
  ask(ask: Ask, timeoutMs: number): Promise<Outcome> {
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const timer = this.#clock.after(timeoutMs, () => this.#settle(id, { kind: 'failed', message: 'no answer in time' }));
      this.#waiting.set(id, { resolve, cancelTimer: () => timer.cancel() });
      this.#send({ kind: 'question', id, ask });
    });
  }

  answered({ id, outcome }: Answer): void {
    this.#settle(id, outcome);
  }

  /** The other end is gone. */
  close(): void {
    for (const id of [...this.#waiting.keys()]) this.#settle(id, { kind: 'gone' });
  }

  #settle(id: number, outcome: Outcome): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.cancelTimer();
    waiting.resolve(outcome);
  }
}
