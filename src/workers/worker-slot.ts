import { type ChildProcess, fork } from 'node:child_process';
import type net from 'node:net';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ListenMode } from '../session/state.ts';
import type { View } from '../topology/view.ts';
import type { Clock, Timer } from '../util/clock.ts';
import type { Telemetry } from '../util/telemetry.ts';
import type { Ask, Downward, Outcome, Question, Upward } from './messages.ts';
import { Questions } from './questions.ts';
import { RestartDelay } from './restart-delay.ts';

/** The program of a worker: the file beside this one, whether compiled or not. */
const PROGRAM = fileURLToPath(new URL(`./process${extname(import.meta.url)}`, import.meta.url));

/** Clients that were sent to a worker and have not come yet. More wait at the supervisor, where others may take them. */
const MAX_ON_THEIR_WAY = 64;

export interface SlotParts {
  readonly slot: number;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** What a worker begins with, as of now. */
  readonly begin: (slot: WorkerSlot) => Extract<Downward, { readonly kind: 'start' }>;
  /** A view as workers get it. */
  readonly viewForOthers: (view: View) => View;
  /** Clients may come to the worker. */
  readonly served: (slot: WorkerSlot) => void;
  /** The worker has ended; `asked` when it was told to. */
  readonly ended: (slot: WorkerSlot, asked: boolean) => void;
  /** Clients have come to the worker: it may be given more. */
  readonly received: () => void;
  /** What only the supervisor knows what to do with. */
  readonly told: (slot: WorkerSlot, message: Told) => void;
}

export type Told = Extract<Upward, { readonly kind: 'topology' | 'catalog changed' | 'log' }> | Question;

/**
 * The place of one worker: starts it, talks to it, and starts another one when it has ended unasked. A worker that does not
 * read what it is told is told only the newest view, so that nothing piles up here.
 */
export class WorkerSlot {
  readonly number: number;
  /** Clients that were given to the worker and have not gone. */
  clients = 0;
  readonly #parts: SlotParts;
  readonly #delay = new RestartDelay();
  #child: ChildProcess | null = null;
  #questions: Questions | null = null;
  #startedMs = 0;
  #serving = false;
  #stopping = false;
  /**
   * Clients that were sent to the worker and have not come yet, in order. Their sockets stay open here as well until then:
   * what is under way in a channel that breaks is neither delivered nor closed by Node, and its client would wait for ever.
   */
  readonly #onTheirWay: net.Socket[] = [];
  #newestView: View | null = null;
  #viewUnderWay = false;
  #restart: Timer | null = null;
  #first = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();

  constructor(parts: SlotParts) {
    this.#parts = parts;
    this.number = parts.slot;
  }

  get serving(): boolean {
    return this.#serving && this.#child?.connected === true;
  }

  /** May be given a client now. */
  get takesClients(): boolean {
    return this.serving && this.#onTheirWay.length < MAX_ON_THEIR_WAY;
  }

  /** Resolves when the first worker serves; rejects when it could not begin. */
  start(): Promise<void> {
    this.#fork();
    return this.#first.promise;
  }

  /** Has the worker finish its transactions and end. Resolves when it has. */
  drain(): Promise<void> {
    this.#stop();
    if (this.serving) this.send({ kind: 'drain' });
    else this.#child?.kill('SIGKILL');
    return this.#over.promise;
  }

  /** Ends the worker at once, for good. */
  kill(): void {
    this.#stop();
    this.#child?.kill('SIGKILL');
  }

  /** Ends the worker at once, and starts another one. */
  replace(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Gives a client to a worker that {@link takesClients}. */
  hand(socket: net.Socket, mode: ListenMode): void {
    this.clients++;
    this.#onTheirWay.push(socket);
    this.#child?.send({ kind: 'client', mode } satisfies Downward, socket, { keepOpen: true }, (error) => {
      if (error === null) return;
      const index = this.#onTheirWay.indexOf(socket);
      if (index < 0) return;
      this.#onTheirWay.splice(index, 1);
      this.clients--;
      socket.destroy();
    });
  }

  /** Tells a worker that serves. */
  send(message: Downward): void {
    if (this.serving) this.#post(message);
  }

  /** Asks a worker that serves; without one the outcome is `gone`. */
  ask(ask: Ask, timeoutMs: number): Promise<Outcome> {
    if (!this.serving || this.#questions === null) return Promise.resolve({ kind: 'gone' });
    return this.#questions.ask(ask, timeoutMs);
  }

  /** Tells the worker how things stand, soon. */
  show(view: View): void {
    const known = this.#newestView !== null;
    this.#newestView = view;
    // What one turn brings makes one message.
    if (!known && !this.#viewUnderWay) setImmediate(() => this.#sendView());
  }

  #sendView(): void {
    const view = this.#newestView;
    if (view === null || this.#viewUnderWay) return;
    this.#newestView = null;
    if (this.#child === null) return;
    this.#viewUnderWay = true;
    const child = this.#child;
    this.#post({ kind: 'view', view: this.#parts.viewForOthers(view) }, () => {
      if (this.#child !== child) return;
      this.#viewUnderWay = false;
      this.#sendView();
    });
  }

  #post(message: Downward, sent: () => void = () => undefined): void {
    const child = this.#child;
    if (child === null || !child.connected) sent();
    else child.send(message, undefined, undefined, () => sent());
  }

  #fork(): void {
    const { clock } = this.#parts;
    // Views have infinite numbers in them, which JSON has not.
    const child = fork(PROGRAM, [], { serialization: 'advanced' });
    this.#child = child;
    this.#questions = new Questions((question) => this.#post(question), clock);
    this.#startedMs = clock.now();
    // What could not be sent has its callback, and the end of the process its own event.
    child.on('error', () => undefined);
    child.on('message', (message: Upward) => this.#received(child, message));
    child.on('exit', (code, signal) => this.#exited(child, code, signal));
  }

  #received(child: ChildProcess, message: Upward): void {
    // The last lines of a log may come after the end of the process.
    if (child !== this.#child && message.kind !== 'log') return;
    const { telemetry, begin, served, told, slot } = this.#parts;
    switch (message.kind) {
      case 'booted':
        this.#post(begin(this));
        return;
      case 'serving':
        this.#serving = true;
        telemetry.log('info', 'worker_serves', { worker: slot, pid: child.pid });
        this.#first.resolve();
        served(this);
        return;
      case 'clients':
        for (const socket of this.#onTheirWay.splice(0, message.came)) socket.destroy();
        this.clients -= message.left;
        this.#parts.received();
        return;
      case 'failed':
        telemetry.log('error', 'worker_failed', { worker: slot, message: message.message });
        this.#first.reject(new Error(message.message));
        return;
      case 'answer':
        this.#questions?.answered(message);
        return;
      default:
        told(this, message);
    }
  }

  #exited(child: ChildProcess, code: number | null, signal: string | null): void {
    if (child !== this.#child) return;
    const { slot, clock, telemetry, ended } = this.#parts;
    this.#serving = false;
    this.#child = null;
    this.#viewUnderWay = false;
    this.#questions?.close();
    this.#questions = null;
    this.clients = 0;
    // The worker may have spoken with them already, so nobody else can.
    for (const socket of this.#onTheirWay.splice(0)) socket.destroy();
    ended(this, this.#stopping);
    this.#first.reject(new Error(`a worker ended before it served (${signal ?? `exit code ${code}`})`));
    if (this.#stopping) {
      this.#over.resolve();
      return;
    }
    const delayMs = this.#delay.died(clock.now() - this.#startedMs);
    const fields = { worker: slot, pid: child.pid, exit_code: code, signal, replaced_in_ms: delayMs };
    telemetry.log('error', 'worker_lost', fields);
    this.#restart = clock.after(delayMs, () => this.#fork());
  }

  #stop(): void {
    this.#stopping = true;
    this.#restart?.cancel();
    if (this.#child === null) this.#over.resolve();
  }
}
