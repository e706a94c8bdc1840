import { Monitor, type MonitorSettings } from '../../../src/topology/monitor.ts';
import type { Observation } from '../../../src/topology/observation.ts';
import type { Prober, Report } from '../../../src/topology/probe.ts';
import type { TopologyNode } from '../../../src/topology/reduce.ts';
import type { LogFields, LogLevel } from '../../../src/util/telemetry.ts';
import { nodes, primaryAnswer, standbyAnswer } from './fixtures.ts';
import { ManualClock } from './manual-clock.ts';

const SETTINGS: MonitorSettings = {
  intervalMs: 100,
  idleIntervalMs: 1000,
  observationLifeMs: 3000,
  maxLagMs: 5000,
  maxLagBytes: null,
};

const TIMEOUT_MS = 1000;

/** One node as it truly is. */
export interface SimulatedNode {
  state: 'up' | 'down' | 'hung';
  role: 'primary' | 'standby';
  timeline: number;
  /** End of what it has written or replayed. */
  position: number;
  /** Milliseconds that a probe takes to reach it, and its answer to come back. */
  latencyMs: [there: number, back: number];
  /** When its probes were sent. */
  readonly probes: number[];
}

/** A cluster in virtual time with a real monitor on it; pg-0 is the primary. */
export class Simulation {
  readonly clock = new ManualClock();
  readonly nodes: readonly SimulatedNode[];
  readonly monitor: Monitor;
  readonly events: { level: LogLevel; event: string; fields: LogFields }[] = [];
  readonly #probers: SimulatedProber[] = [];

  constructor(count: number, settings: Partial<MonitorSettings> = {}) {
    this.nodes = Array.from({ length: count }, (_, index) => ({
      state: 'up',
      role: index === 0 ? 'primary' : 'standby',
      timeline: 1,
      position: 1000,
      latencyMs: [0.1, 0.1],
      probes: [],
    }));
    this.monitor = new Monitor({
      backends: nodes(count),
      settings: { ...SETTINGS, ...settings },
      clock: this.clock,
      telemetry: { log: (level, event, fields = {}) => this.events.push({ level, event, fields }) },
      createProber: (_: TopologyNode, report) => {
        const prober = new SimulatedProber(this.clock, this.node(this.#probers.length), report);
        this.#probers.push(prober);
        return prober;
      },
    });
  }

  node(index: number): SimulatedNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  /** The node ends at once; its sockets are closed. */
  crash(index: number): void {
    this.node(index).state = 'down';
    this.#probers[index]?.connectionLost();
  }

  eventNames(): string[] {
    return this.events.filter(({ level }) => level !== 'debug').map(({ event }) => event);
  }
}

/** Does to observations what a prober over a real connection does. */
class SimulatedProber implements Prober {
  busy = false;
  readonly #clock: ManualClock;
  readonly #node: SimulatedNode;
  readonly #report: Report;
  #connected = false;
  #closed = false;
  #probe = 0;

  constructor(clock: ManualClock, node: SimulatedNode, report: Report) {
    this.#clock = clock;
    this.#node = node;
    this.#report = report;
  }

  probe(): void {
    if (this.busy || this.#closed) return;
    this.busy = true;
    this.#node.probes.push(this.#clock.now());
    this.#send(++this.#probe, this.#clock.now());
  }

  close(): void {
    this.#closed = true;
  }

  connectionLost(): void {
    if (this.#connected) {
      this.#connected = false;
      this.#tell({ kind: 'break', detail: 'connection closed' });
      if (this.busy) this.#send(++this.#probe, this.#clock.now());
      else this.probe();
    } else if (this.busy) this.#outcome(this.#probe, { kind: 'failure', problem: 'unreachable', detail: 'connection closed' });
  }

  #send(probe: number, sentAtMs: number): void {
    const [there, back] = this.#node.latencyMs;
    this.#clock.after(there, () => {
      if (probe !== this.#probe) return;
      const { state, role, position, timeline } = this.#node;
      if (state === 'hung') this.#clock.after(TIMEOUT_MS, () => this.#timedOut(probe));
      else if (state === 'down') this.#outcome(probe, { kind: 'failure', problem: 'unreachable', detail: 'refused' });
      else {
        const answer = (role === 'primary' ? primaryAnswer : standbyAnswer)(sentAtMs, position, { timeline });
        this.#clock.after(back, () => this.#outcome(probe, answer));
      }
    });
  }

  #timedOut(probe: number): void {
    if (probe !== this.#probe) return;
    if (!this.#connected) this.#outcome(probe, { kind: 'failure', problem: 'unreachable', detail: 'no answer' });
    else this.connectionLost();
  }

  #outcome(probe: number, observation: Observation): void {
    if (probe !== this.#probe || !this.busy) return;
    this.#probe++;
    this.#connected = observation.kind === 'answer';
    this.busy = false;
    this.#tell(observation);
  }

  #tell(observation: Observation): void {
    if (!this.#closed) this.#report(observation);
  }
}
