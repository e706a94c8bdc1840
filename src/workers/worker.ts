import type net from 'node:net';
import { type App, startApp } from '../app.ts';
import type { ListenMode } from '../session/state.ts';
import { BugError } from '../util/assert.ts';
import { errorOf } from '../util/errors.ts';
import { Logger } from '../util/logger.ts';
import { realClock } from '../util/real-clock.ts';
import { Secret } from '../util/secret.ts';
import type { Telemetry } from '../util/telemetry.ts';
import { LogChannel } from './log-channel.ts';
import type { Ask, Downward, Outcome, TopologyAsks, Upward } from './messages.ts';
import { fromPlainConfig } from './plain-config.ts';
import { Questions } from './questions.ts';
import { RemoteWatch } from './remote-watch.ts';
import { shareOf } from './share.ts';
import { TimeBase } from './time-base.ts';
import { twoClocks } from './two-clocks.ts';

/** A cancel request that was handed on is done within this time, or its client is let go. */
const CANCEL_TIMEOUT_MS = 5_000;

export interface WorkerParts {
  /** Calls back when the message has left, or never will. */
  readonly send: (message: Upward, sent?: () => void) => void;
  /** Ends the process. */
  readonly exit: (exitCode: number) => void;
}

type Start = Extract<Downward, { readonly kind: 'start' }>;

/** What runs once the supervisor has said with what. */
interface Running {
  readonly watch: RemoteWatch;
  readonly logger: Logger;
  readonly share: { readonly slot: number; readonly slots: number };
}

/** One of several processes that serve clients: the house of `app.ts`, with the monitor of the supervisor. */
export class Worker {
  readonly #send: WorkerParts['send'];
  readonly #exit: WorkerParts['exit'];
  readonly #log: LogChannel;
  readonly #questions: Questions;
  readonly #base = new TimeBase(twoClocks);
  #running: Running | null = null;
  #app: App | null = null;
  /** Clients that came and went in this turn. */
  #came = 0;
  #left = 0;

  constructor({ send, exit }: WorkerParts) {
    this.#send = send;
    this.#exit = exit;
    this.#log = new LogChannel((lines, sent) => send({ kind: 'log', lines }, sent));
    this.#questions = new Questions(send, realClock);
  }

  /** @param socket comes with the message of a new client, unless that was gone before it came here. */
  receive(message: Downward, socket: net.Socket | undefined): void {
    switch (message.kind) {
      case 'client':
        this.#accept(socket, message.mode);
        return;
      case 'start':
        void this.#start(message);
        return;
      case 'view':
        this.#running?.watch.receive(this.#base.viewFromOthers(message.view));
        return;
      case 'hopeless':
        this.#running?.watch.hopeless(message.ownFenceMs);
        return;
      case 'catalog changed':
        this.#app?.catalogChanged(message.database);
        return;
      case 'drain':
        void this.#drain();
        return;
      case 'question':
        void this.#answer(message.ask).then((outcome) => this.#send({ kind: 'answer', id: message.id, outcome }));
        return;
      default:
        this.#questions.answered(message);
    }
  }

  /** A defect of ours that nothing has caught: the process ends, and is replaced. */
  async broken(error: Error, exitCode: number): Promise<void> {
    this.#telemetry().log('error', 'bug', { error });
    await this.#log.end();
    this.#exit(exitCode);
  }

  async #start({ slot, slots, config: plain, saltSecret, view }: Start): Promise<void> {
    try {
      const config = fromPlainConfig(plain);
      const watch = new RemoteWatch({
        view: this.#base.viewFromOthers(view),
        clock: realClock,
        defer: (work) => void setImmediate(work),
        tell: (asks) => this.#tell(asks),
      });
      this.#running = { watch, share: { slot, slots }, logger: new Logger(config.log.level, this.#log) };
      this.#app = await startApp(shareOf(config, { slot, slots }), {
        telemetry: this.#telemetry(),
        membership: {
          watch,
          saltSecret: Secret.from(saltSecret),
          siblings: { share: { slot, slots }, cancel: (processId, secretKey) => this.#cancelElsewhere(processId, secretKey) },
          catalogChanged: (database) => this.#send({ kind: 'catalog changed', database }),
        },
      });
      this.#send({ kind: 'serving' });
    } catch (error) {
      const { message } = errorOf(error);
      await this.#log.end();
      this.#send({ kind: 'failed', message }, () => this.#exit(1));
    }
  }

  #accept(socket: net.Socket | undefined, mode: ListenMode): void {
    this.#countSoon();
    this.#came++;
    if (socket === undefined || this.#app === null) {
      socket?.destroy();
      this.#left++;
      return;
    }
    // As the listener has it; this is the one property of the socket that does not come with it.
    socket.allowHalfOpen = true;
    this.#app.accept(socket, mode).on('close', () => {
      this.#countSoon();
      this.#left++;
    });
  }

  /** Tells what this turn has brought. */
  #countSoon(): void {
    if (this.#came + this.#left > 0) return;
    setImmediate(() => {
      this.#send({ kind: 'clients', came: this.#came, left: this.#left });
      this.#came = this.#left = 0;
    });
  }

  async #drain(): Promise<void> {
    await this.#app?.close();
    await this.#log.end();
    this.#exit(0);
  }

  async #answer(ask: Ask): Promise<Outcome> {
    try {
      const app = this.#app;
      if (app === null) throw new BugError('a worker is asked before it serves');
      switch (ask.kind) {
        case 'report':
          return { kind: 'report', report: app.report() };
        case 'cancel':
          await app.cancel(ask.processId, ask.secretKey);
          return { kind: 'done' };
        default:
          await this.#reload(app, ask);
          return { kind: 'done' };
      }
    } catch (error) {
      return { kind: 'failed', message: errorOf(error).message };
    }
  }

  async #reload(app: App, { config: plain }: Extract<Ask, { readonly kind: 'reload' }>): Promise<void> {
    const running = this.#running;
    if (running === null) throw new BugError('a worker has an app before it has a configuration');
    const config = fromPlainConfig(plain);
    await app.reload(shareOf(config, running.share));
    running.logger.setLevel(config.log.level);
  }

  async #cancelElsewhere(processId: number, secretKey: Buffer): Promise<void> {
    await this.#questions.ask({ kind: 'cancel', processId, secretKey }, CANCEL_TIMEOUT_MS);
  }

  #tell({ traffic, suspects, fence }: TopologyAsks): void {
    const forOthers = (ms: number) => this.#base.fenceForOthers(ms);
    const theirs = fence === null ? null : { fenceMs: forOthers(fence.fenceMs), deadlineMs: forOthers(fence.deadlineMs) };
    this.#send({ kind: 'topology', asks: { traffic, suspects, fence: theirs }, ownFenceMs: fence?.fenceMs ?? null });
  }

  /** Lines say which worker they are of. */
  #telemetry(): Telemetry {
    return {
      log: (level, event, fields) => {
        if (this.#running === null) return;
        const { logger, share } = this.#running;
        logger.log(level, event, { worker: share.slot, ...fields });
      },
    };
  }
}
