import type net from 'node:net';
import { type HttpServer, startHttpServer } from '../admin/http.ts';
import { Readiness } from '../admin/readiness.ts';
import { MergedSources } from '../admin/report.ts';
import { saltSecret, VERSION } from '../app.ts';
import { type BackendTls, loadBackendTls } from '../backend/tls.ts';
import type { Config } from '../config/settings.ts';
import { slotOf } from '../server/clients.ts';
import { type ListenAddress, Listener } from '../server/listener.ts';
import { ListenerTls } from '../server/tls.ts';
import type { ListenMode } from '../session/state.ts';
import type { Monitor } from '../topology/monitor.ts';
import { monitorOf, monitorSettings } from '../topology/watch.ts';
import { BugError } from '../util/assert.ts';
import { realClock } from '../util/real-clock.ts';
import type { Secret } from '../util/secret.ts';
import type { Telemetry } from '../util/telemetry.ts';
import type { Downward, Question } from './messages.ts';
import { type PlainConfig, toPlainConfig } from './plain-config.ts';
import { partOf } from './share.ts';
import { TimeBase } from './time-base.ts';
import { twoClocks } from './two-clocks.ts';
import { type Told, WorkerSlot } from './worker-slot.ts';

/*
 * Several processes that serve clients, and one that keeps them: it watches the backends with the one monitor, whose views
 * it sends to all; it accepts clients and hands each to the worker with the most room; it replaces workers that end; it
 * answers HTTP for all.
 *
 * Limits are divided among the workers, and clients of a database stay for hours, so it matters that each worker gets its
 * part of them. If all accepted from one socket, the kernel would favour whoever happens to wake up first; node:cluster's
 * turns favour who is least busy at the moment, and after the end of a worker fill up those that are left. The price is a
 * hop at the beginning of each connection. Listening here also means that no connection is refused while a worker is
 * replaced.
 *
 * A worker that knows nothing of the others must not answer differently from one process that serves all. What one learns
 * and others need goes through here: DDL that passed, cancel requests, what its sessions ask of the monitor. What a host
 * has just written through another worker is not told: a new session takes it that the last moment before it came was one.
 */

/** How often workers are asked for what they have counted, so that little is lost with one that is killed. */
const REPORT_INTERVAL_MS = 1_000;
/** A worker that does not answer a scrape so long is left out of it. */
const REPORT_TIMEOUT_MS = 1_000;
/** Clients that wait for a worker to take them; as many as the kernel would keep. More are sent away. */
const MAX_UNSERVED = 1_024;
const RELOAD_TIMEOUT_MS = 10_000;
/** As in the worker that asks. */
const CANCEL_TIMEOUT_MS = 5_000;
/** What a worker may take for its end beyond `shutdown.drain_timeout`. */
const END_TIMEOUT_MS = 5_000;

export interface SupervisorParts {
  readonly telemetry: Telemetry;
  /** Takes whole lines that workers have logged. */
  readonly log: { write(lines: string): void };
}

/** Starts the workers of a configuration; resolves when all of them serve. */
export async function startSupervisor(config: Config, parts: SupervisorParts): Promise<Supervisor> {
  const supervisor = new Supervisor(config, parts);
  try {
    await supervisor.open();
    return supervisor;
  } catch (error) {
    await supervisor.abort();
    throw error;
  }
}

class Supervisor {
  readonly #parts: SupervisorParts;
  readonly #clock = realClock;
  readonly #base = new TimeBase(twoClocks);
  readonly #monitor: Monitor;
  readonly #saltSecret: Secret;
  readonly #sources: MergedSources;
  readonly #slots: readonly WorkerSlot[];
  #config: Config;
  #plain: PlainConfig;
  #backendTls: BackendTls;
  /** Clients that no worker has taken yet. */
  readonly #unserved: { readonly socket: net.Socket; readonly mode: ListenMode }[] = [];
  readonly #listeners: Listener[] = [];
  /** The worker that got the last client. */
  #last = 0;
  #http: HttpServer | null = null;
  #reporter: NodeJS.Timeout | null = null;
  /** What each worker was last given: one may have begun while another configuration was put in force. */
  readonly #given = new Map<WorkerSlot, PlainConfig>();
  #draining = false;

  constructor(config: Config, parts: SupervisorParts) {
    this.#parts = parts;
    this.#config = config;
    this.#plain = toPlainConfig(config);
    this.#saltSecret = saltSecret(config);
    this.#backendTls = loadBackendTls(config.backendTls);
    const { telemetry } = parts;
    this.#monitor = monitorOf(config, { clock: this.#clock, telemetry, tls: () => this.#backendTls });
    this.#sources = new MergedSources({ version: VERSION, views: this.#monitor, clock: this.#clock });
    this.#slots = Array.from({ length: config.workers }, (_, slot) => this.#newSlot(slot));
  }

  get listenAddresses(): readonly ListenAddress[] {
    return this.#listeners.map(({ address }) => address);
  }

  async open(): Promise<void> {
    await this.#monitor.start();
    this.#monitor.onView((view) => {
      for (const slot of this.#slots) slot.show(view);
    });
    await Promise.all(this.#slots.map((slot) => slot.start()));
    for (const address of this.#config.listen) {
      const listener = await Listener.open(address, (socket, mode) => this.#accept(socket, mode), { pauseOnConnect: true });
      this.#listeners.push(listener);
    }
    this.#http = await this.#startHttp();
    this.#reporter = setInterval(() => void this.#collect(), REPORT_INTERVAL_MS);
  }

  /** One worker after the other takes the new configuration; when one cannot, those before it get the old one back. */
  async reload(config: Config): Promise<void> {
    const backendTls = loadBackendTls(config.backendTls);
    if (config.tls !== null) new ListenerTls(config.tls);
    const plain = toPlainConfig(config);
    const done: WorkerSlot[] = [];
    for (const slot of this.#slots) {
      const outcome = await slot.ask({ kind: 'reload', config: plain }, RELOAD_TIMEOUT_MS);
      if (outcome.kind === 'gone') continue;
      done.push(slot);
      this.#given.set(slot, plain);
      if (outcome.kind !== 'failed') continue;
      for (const other of done) await this.#bringUpToDate(other);
      throw new Error(`worker ${slot.number}: ${outcome.message}`);
    }
    this.#backendTls = backendTls;
    this.#config = config;
    this.#plain = plain;
    this.#monitor.reconfigure(monitorSettings(config));
    for (const slot of this.#slots) await this.#bringUpToDate(slot);
  }

  async close(): Promise<void> {
    this.#draining = true;
    this.#stopListening();
    const end = this.#clock.after(this.#config.shutdown.drainTimeoutMs + END_TIMEOUT_MS, () => {
      for (const slot of this.#slots) slot.kill();
    });
    await Promise.all(this.#slots.map((slot) => slot.drain()));
    end.cancel();
    await this.#closeAll();
  }

  /** Ends what has begun. */
  async abort(): Promise<void> {
    this.#draining = true;
    this.#stopListening();
    for (const slot of this.#slots) slot.kill();
    await this.#closeAll();
  }

  #stopListening(): void {
    for (const listener of this.#listeners) listener.stop();
    for (const { socket } of this.#unserved.splice(0)) socket.destroy();
  }

  async #closeAll(): Promise<void> {
    if (this.#reporter !== null) clearInterval(this.#reporter);
    this.#monitor.stop();
    await this.#http?.close();
  }

  #newSlot(slot: number): WorkerSlot {
    return new WorkerSlot({
      slot,
      clock: this.#clock,
      telemetry: this.#parts.telemetry,
      begin: (of) => this.#begin(of),
      viewForOthers: (view) => this.#base.viewForOthers(view),
      served: (of) => this.#served(of),
      received: () => this.#handOut(),
      ended: (of, asked) => this.#ended(of, asked),
      told: (of, message) => this.#told(of, message),
    });
  }

  #begin(slot: WorkerSlot): Extract<Downward, { readonly kind: 'start' }> {
    this.#given.set(slot, this.#plain);
    return {
      kind: 'start',
      slot: slot.number,
      slots: this.#slots.length,
      config: this.#plain,
      saltSecret: this.#saltSecret.reveal(),
      view: this.#base.viewForOthers(this.#monitor.current()),
    };
  }

  #accept(socket: net.Socket, mode: ListenMode): void {
    if (this.#draining || this.#unserved.length >= MAX_UNSERVED) socket.destroy();
    else this.#unserved.push({ socket, mode });
    this.#handOut();
  }

  /** Gives clients to workers, in the order in which they came, as long as somebody takes them. */
  #handOut(): void {
    for (let slot = this.#roomiest(); slot !== null; slot = this.#roomiest()) {
      const next = this.#unserved.shift();
      if (next === undefined) return;
      this.#last = slot.number;
      slot.hand(next.socket, next.mode);
    }
  }

  /** The worker with the most room for clients; of equals, the one whose turn it is. Null when none takes any. */
  #roomiest(): WorkerSlot | null {
    const slots = this.#slots.length;
    let best: WorkerSlot | null = null;
    let mostRoom = -Infinity;
    for (let step = 1; step <= slots; step++) {
      const slot = this.#slots[(this.#last + step) % slots];
      if (slot?.takesClients !== true) continue;
      const room = partOf(this.#config.limits.clients, { slot: slot.number, slots }) - slot.clients;
      if (room > mostRoom) [best, mostRoom] = [slot, room];
    }
    return best;
  }

  #served(slot: WorkerSlot): void {
    this.#handOut();
    void this.#bringUpToDate(slot);
  }

  /** A worker that cannot take the configuration in force makes room for one that begins with it. */
  async #bringUpToDate(slot: WorkerSlot): Promise<void> {
    if (!slot.serving || this.#given.get(slot) === this.#plain) return;
    this.#given.set(slot, this.#plain);
    const outcome = await slot.ask({ kind: 'reload', config: this.#plain }, RELOAD_TIMEOUT_MS);
    if (outcome.kind !== 'failed') return;
    this.#parts.telemetry.log('error', 'worker_refused_configuration', { worker: slot.number, message: outcome.message });
    slot.replace();
  }

  #ended(slot: WorkerSlot, asked: boolean): void {
    this.#sources.gone(slot.number);
    if (!asked) this.#sources.lostWorkers++;
  }

  #told(slot: WorkerSlot, message: Told): void {
    switch (message.kind) {
      case 'topology':
        this.#asked(slot, message);
        return;
      case 'catalog changed':
        for (const other of this.#slots) if (other !== slot) other.send(message);
        return;
      case 'log':
        this.#parts.log.write(message.lines);
        return;
      default:
        void this.#cancel(slot, message);
    }
  }

  #asked(slot: WorkerSlot, { asks, ownFenceMs }: Extract<Told, { readonly kind: 'topology' }>): void {
    const { traffic, suspects, fence } = asks;
    if (traffic) this.#monitor.noteTraffic();
    for (const { backend, cause } of suspects) this.#monitor.suspect(backend, cause);
    if (fence === null || ownFenceMs === null) return;
    const fenceMs = this.#base.fenceFromOthers(fence.fenceMs);
    // That it was reached, the worker sees by the view that shows it.
    const wait = this.#monitor.waitForFence(fenceMs, this.#base.fenceFromOthers(fence.deadlineMs), () => undefined);
    if (wait === null) slot.send({ kind: 'hopeless', ownFenceMs });
  }

  /** Hands a cancel request on to the worker that gave out its key, and answers when that one has seen to it. */
  async #cancel(from: WorkerSlot, { id, ask }: Question): Promise<void> {
    if (ask.kind !== 'cancel') throw new BugError(`a worker asks for ${ask.kind}`);
    const owner = this.#slots[slotOf(ask.processId, this.#slots.length)];
    const outcome = (await owner?.ask(ask, CANCEL_TIMEOUT_MS)) ?? { kind: 'gone' };
    from.send({ kind: 'answer', id, outcome });
  }

  /** Has all workers report. */
  async #collect(): Promise<void> {
    await Promise.all(
      this.#slots.map(async (slot) => {
        const outcome = await slot.ask({ kind: 'report' }, REPORT_TIMEOUT_MS);
        if (outcome.kind === 'report') this.#sources.reported(slot.number, outcome.report);
      }),
    );
  }

  #startHttp(): Promise<HttpServer> {
    const { http, listen } = this.#config;
    const readiness = new Readiness({
      views: this.#monitor,
      clock: this.#clock,
      needsPrimary: listen.some(({ mode }) => mode === 'split'),
      draining: () => this.#draining,
    });
    return startHttpServer({
      ...http,
      sources: this.#sources,
      readiness: { problem: () => (this.#slots.some(({ serving }) => serving) ? readiness.problem() : 'no worker serves') },
      clock: this.#clock,
      telemetry: this.#parts.telemetry,
      refresh: () => this.#collect(),
    });
  }
}
