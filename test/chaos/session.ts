import { setTimeout as sleep } from 'node:timers/promises';
import { encodeClose, SYNC } from '../../src/protocol/frontend-encoders.ts';
import type { Account } from './account.ts';
import type { Chance } from './chance.ts';
import { ChaosClient, type Reply } from './client.ts';
import { extended, type Question, simple, wrongWith } from './question.ts';

/** How often what is done, of a hundred or so. */
const DEEDS = {
  write: 10,
  simple: 28,
  unnamed: 16,
  prepared: 20,
  pipeline: 9,
  nap: 5,
  long: 3,
  'slow client': 1,
  failing: 2,
  cancel: 2,
  disconnect: 2,
  forget: 1,
};

const STATEMENTS = 6;
const PROVING_ROUNDS = 60;
/** Thinking between deeds, at most. */
const THINK_MS = 80;
/** Between rows of a session that has gone in the middle of a write, whose fate nobody knows. */
const ROWS_PER_SESSION = 10_000;

/**
 * One client with its own row, which it alone changes, so that it knows at any time what every answer must be. Every question
 * carries a nonce that its answer must bring back.
 */
export class ChaosSession {
  readonly #number: number;
  readonly #port: number;
  readonly #chance: Chance;
  readonly #account: Account;
  #client: ChaosClient | null = null;
  #row: number;
  /** The value of the row. */
  #value = 0;
  #asked = 0;
  readonly #prepared = new Set<string>();

  constructor(number: number, port: number, chance: Chance, account: Account) {
    this.#number = number;
    this.#port = port;
    this.#chance = chance;
    this.#account = account;
    this.#row = (number + 1) * ROWS_PER_SESSION;
  }

  /** Asks each kind of read often enough for it to be known. To be called while nothing else goes on. */
  async prove(): Promise<void> {
    const client = this.#client ?? (await this.#connect());
    for (let round = 0; round < PROVING_ROUNDS; round++) {
      for (const kind of ['simple', 'unnamed', 'prepared', 'failing'] as const) await this.#hold(client, [this.#read(kind)]);
      await this.#hold(client, [this.#nap(this.#nonce(), 0), this.#long(this.#nonce(), 100)]);
    }
    this.#leave();
  }

  /** Acts until `isOver`; what goes wrong is entered in the account. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const deed = this.#chance.pick(DEEDS);
      try {
        const client = this.#client ?? (await this.#connect());
        await this.#do(deed, client);
        if (client.unasked !== null) throw new Error(`a message came that nobody had asked for: ${client.unasked}`);
        this.#account.done(deed);
      } catch (error) {
        this.#account.violation(`session ${this.#number}, ${deed}: ${error instanceof Error ? error.message : error}`);
        this.#leave();
        this.#newRow();
      }
      await sleep(this.#chance.between(0, THINK_MS));
    }
    this.#leave();
  }

  async #connect(): Promise<ChaosClient> {
    this.#client = await ChaosClient.login(this.#port);
    return this.#client;
  }

  #leave(): void {
    this.#client?.destroy();
    this.#client = null;
    this.#prepared.clear();
  }

  #newRow(): void {
    this.#row++;
    this.#value = 0;
  }

  #do(deed: keyof typeof DEEDS, client: ChaosClient): Promise<void> {
    switch (deed) {
      case 'write':
        return this.#hold(client, [this.#write()]);
      case 'pipeline':
        return this.#hold(client, this.#pipeline());
      case 'slow client':
        return this.#readSlowly(client);
      case 'cancel':
        return this.#cancel(client);
      case 'disconnect':
        return this.#disconnect(client);
      case 'forget':
        return this.#forget(client);
      default:
        return this.#hold(client, [this.#read(deed)]);
    }
  }

  /** Asks everything at once, and holds each reply against what it must be. */
  async #hold(client: ChaosClient, questions: readonly Question[]): Promise<void> {
    const replies = await Promise.all(questions.map(({ bytes, what }) => client.ask(bytes, what)));
    for (const [index, question] of questions.entries()) this.#judge(question, replies[index], false);
  }

  /** Returns whether it was cancelled. */
  #judge(question: Question, reply: Reply | undefined, mayBeCancelled: boolean): boolean {
    if (reply === undefined) throw new Error('no reply');
    const wrong = wrongWith(question, reply, mayBeCancelled);
    if (wrong !== null) throw new Error(wrong);
    this.#account.answered(question.kind);
    if (question.prepares !== null && reply.codes.includes('1')) this.#prepared.add(question.prepares);
    return reply.sqlstate === '57014';
  }

  #nonce(): string {
    return `${this.#number}/${++this.#asked}`;
  }

  #write(): Question {
    const nonce = this.#nonce();
    const text = `INSERT INTO counters VALUES (${this.#row}, 1) ON CONFLICT (id) DO UPDATE SET n = counters.n + 1 RETURNING '${nonce}', n`;
    this.#value++;
    return simple('write', text, [nonce, String(this.#value)]);
  }

  #read(kind: 'simple' | 'unnamed' | 'prepared' | 'nap' | 'long' | 'failing'): Question {
    const nonce = this.#nonce();
    const value = String(this.#value);
    const values = [nonce, String(this.#row)];
    switch (kind) {
      case 'simple':
        return simple(kind, `SELECT '${nonce}' AS nonce, coalesce((SELECT n FROM counters WHERE id = ${this.#row}), 0) AS n`, [
          nonce,
          value,
        ]);
      case 'unnamed':
        return extended(kind, { name: '', makes: true, text: textOf(0), values }, [nonce, value]);
      case 'prepared': {
        const which = this.#chance.between(1, STATEMENTS);
        const name = `statement ${which}`;
        return extended(kind, { name, makes: !this.#prepared.has(name), text: textOf(which), values }, [nonce, value]);
      }
      case 'nap':
        return this.#nap(nonce, this.#chance.once(8) ? this.#chance.between(5, 120) : 0);
      case 'long':
        return this.#long(nonce, this.#chance.once(4) ? this.#chance.between(10_000, 150_000) : this.#chance.between(0, 2000));
      case 'failing': {
        const isFailing = this.#chance.once(2);
        return simple(kind, `SELECT '${nonce}' AS nonce, 100 / ${isFailing ? 0 : 1} AS n`, isFailing ? '22012' : [nonce, '100']);
      }
    }
  }

  #nap(nonce: string, ms: number): Question {
    return simple('nap', `SELECT '${nonce}' AS nonce, naps(${ms}) AS n`, [nonce, String(ms)]);
  }

  #long(nonce: string, length: number): Question {
    return simple('long', `SELECT '${nonce}' AS nonce, repeat('x', ${length}) AS n`, [nonce, 'x'.repeat(length)]);
  }

  #pipeline(): Question[] {
    const questions: Question[] = [];
    for (let count = this.#chance.between(2, 8); count > 0; count--) {
      const kind = this.#chance.pick({ simple: 6, unnamed: 5, nap: 1, long: 1, failing: 1, write: 1 });
      questions.push(kind === 'write' ? this.#write() : this.#read(kind));
    }
    return questions;
  }

  async #readSlowly(client: ChaosClient): Promise<void> {
    const questions = [this.#long(this.#nonce(), this.#chance.between(200_000, 3_000_000)), this.#read('simple')];
    const held = this.#hold(client, questions);
    client.pause();
    await sleep(this.#chance.between(10, 400));
    client.resume();
    await held;
  }

  /** At most one of what was asked is cancelled, and nothing that is asked later. */
  async #cancel(client: ChaosClient): Promise<void> {
    const isWrite = this.#chance.once(8);
    const kinds = isWrite
      ? []
      : Array.from({ length: this.#chance.between(1, 3) }, () => this.#chance.pick({ nap: 3, prepared: 2 }));
    const names = new Set<string>();
    const questions = kinds
      .map((kind) => (kind === 'nap' ? this.#nap(this.#nonce(), this.#chance.between(0, 200)) : this.#read(kind)))
      // What a batch would prepare is not known to those behind it, if it may be cancelled.
      .filter(({ prepares }) => prepares === null || (!names.has(prepares) && names.add(prepares)));
    if (isWrite) questions.push(this.#write());
    const replies = questions.map(({ bytes, what }) => client.ask(bytes, what));
    const answered = Promise.all(replies);
    answered.catch(() => undefined);
    await sleep(this.#chance.between(0, 15));
    const cancelled = client.cancel();
    const settled = await answered;
    await cancelled;
    const hit = questions.filter((question, index) => this.#judge(question, settled[index], true)).length;
    if (hit > 1) throw new Error(`one cancel request, ${hit} cancelled`);
    if (isWrite && hit === 1) this.#value--;
    if (hit === 1) this.#account.answered('cancelled');
  }

  /** Goes in the middle of it, and comes back; the fate of a write is not known then. */
  async #disconnect(client: ChaosClient): Promise<void> {
    const questions = this.#chance.once(4) ? [this.#write()] : this.#pipeline();
    for (const { bytes, what } of questions) client.ask(bytes, what).catch(() => undefined);
    await sleep(this.#chance.between(0, 6));
    this.#leave();
    if (questions.some(({ kind }) => kind === 'write')) this.#newRow();
  }

  /** Closes a prepared statement. */
  async #forget(client: ChaosClient): Promise<void> {
    const [name] = this.#prepared;
    if (name === undefined) return;
    this.#prepared.delete(name);
    const { codes, sqlstate, message } = await client.ask(Buffer.concat([encodeClose('statement', name), SYNC]), 'Close');
    if (codes !== '3Z') throw new Error(`a Close drew ${codes} ${sqlstate ?? ''} ${message}`);
  }
}

/** Statements that mean the same and are not the same. */
function textOf(which: number): string {
  return `SELECT $1::text AS nonce, coalesce((SELECT n FROM counters WHERE id = $2::int), ${which} * 0) AS n`;
}
