import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseReplica } from '../../../src/routing/balance.ts';
import type { SessionContext } from '../../../src/routing/context.ts';
import { moveFenceMs } from '../../../src/routing/fence.ts';
import { type SimulatedNode, Simulation } from '../topology/simulation.ts';
import { context, SESSION } from './fixtures.ts';

/**
 * The whole of read-your-writes and monotonic reads in virtual time: a real monitor, the real choice of a replica, and
 * nodes that write, replay, crash, come back in older states and are promoted as a script says. The truth is known here:
 * positions.
 */

interface Step {
  readonly afterMs: number;
  readonly kind: 'write' | 'read' | 'read and wait' | 'replay' | 'crash' | 'fail over' | 'delay';
  readonly who: number;
  readonly part: number;
}

const SESSIONS = 3;
const NODES = 3;

class World extends Simulation {
  readonly sessions = Array.from({ length: SESSIONS }, () => ({
    context: context(),
    busy: false,
    /** What it must see: the end of its last write, and of what its last read showed. */
    mustSee: 0,
  }));
  readonly crashes = Array(NODES).fill(0) as number[];
  timeline = 1;
  replicaReads = 0;
  waits = 0;
  violations: string[] = [];

  run(script: readonly Step[]): void {
    void this.monitor.start();
    this.clock.advance(2);
    for (const step of script) {
      this.clock.advance(step.afterMs);
      this.take(step);
    }
    this.clock.advance(50);
    this.monitor.stop();
  }

  take({ kind, who, part }: Step): void {
    const index = who % NODES;
    const node = this.node(index);
    if (kind === 'write') this.write(who, part);
    else if (kind === 'read') this.read(who, part);
    else if (kind === 'read and wait') this.readAndWait(who, part);
    else if (kind === 'replay') this.replay(node, part);
    else if (kind === 'crash') this.fail(index, part);
    else if (kind === 'fail over') this.failOver(part);
    else node.latencyMs = [part * 5, (1 - part) * 5];
  }

  replay(node: SimulatedNode, part: number): void {
    const source = this.nodes.find(({ role, state }) => role === 'primary' && state === 'up');
    if (source === undefined || node.role === 'primary' || node.state !== 'up') return;
    node.timeline = source.timeline;
    node.position += Math.max(0, Math.round((source.position - node.position) * Math.min(1, part * 2)));
  }

  write(who: number, part: number): void {
    const session = this.sessions[who % SESSIONS];
    const primary = this.nodes.findIndex(({ role, state }) => role === 'primary' && state === 'up');
    if (session === undefined || session.busy || primary < 0) return;
    session.busy = true;
    this.clock.after(part, () => {
      const node = this.node(primary);
      if (node.state !== 'up' || node.role !== 'primary') {
        session.busy = false;
        return;
      }
      node.position += 1 + Math.round(part * 100);
      const end = node.position;
      this.clock.after(1 - part, () => {
        session.busy = false;
        session.mustSee = Math.max(session.mustSee, end);
        session.context = { ...session.context, lastPrimaryMs: this.clock.now() };
      });
    });
  }

  read(who: number, part: number): void {
    const session = this.sessions[who % SESSIONS];
    if (session === undefined || session.busy) return;
    this.readNow(session, part);
  }

  readAndWait(who: number, part: number): void {
    const session = this.sessions[who % SESSIONS];
    if (session === undefined || session.busy) return;
    const now = this.clock.now();
    const needs: SessionContext = { ...session.context, nowMs: now };
    session.busy = true;
    const wait = this.monitor.waitForFence(moveFenceMs(needs, SESSION), now + 10, (reached) => {
      session.busy = false;
      if (!reached) return;
      this.waits++;
      if (!this.readNow(session, part)) this.violations.push('a reached fence that no replica satisfies');
    });
    if (wait === null) session.busy = false;
  }

  readNow(session: World['sessions'][number], part: number): boolean {
    const needs: SessionContext = { ...session.context, nowMs: this.clock.now() };
    const view = this.monitor.current();
    const chosen = chooseReplica(view, needs, SESSION, { load: () => 0 }, () => part);
    if (chosen < 0) return false;
    const node = this.node(chosen);
    const incarnation = view.backends[chosen]?.incarnation ?? -1;
    const crashes = this.crashes[chosen];
    session.busy = true;
    this.clock.after(part, () => {
      // A connection does not outlive its server.
      if (node.state !== 'up' || this.crashes[chosen] !== crashes) {
        session.busy = false;
        return;
      }
      this.replicaReads++;
      if (node.position < session.mustSee) {
        this.violations.push(`pg-${chosen} at ${node.position}, must show ${session.mustSee}`);
      }
      session.mustSee = Math.max(session.mustSee, node.position);
      this.clock.after(1 - part, () => {
        session.busy = false;
        session.context = {
          ...session.context,
          lastReplica: chosen,
          lastReplicaIncarnation: incarnation,
          lastReplicaMs: this.clock.now(),
        };
      });
    });
    return true;
  }

  /** A node ends and comes back: a standby where its last restartpoint was, a primary with all that it acknowledged. */
  fail(index: number, part: number): void {
    const node = this.node(index);
    if (node.state !== 'up') return;
    this.crashes[index] = (this.crashes[index] ?? 0) + 1;
    this.crash(index);
    this.clock.after(1 + part * 300, () => {
      node.state = 'up';
      if (node.role === 'standby') node.position = Math.round(node.position * part);
    });
  }

  /** Without loss: the node that is promoted has caught up, as a synchronous standby has. The old primary is rewound. */
  failOver(part: number): void {
    const old = this.nodes.findIndex(({ role }) => role === 'primary');
    const next = this.nodes.findIndex(({ role, state }) => role === 'standby' && state === 'up');
    if (old < 0 || next < 0 || this.node(old).state !== 'up') return;
    this.timeline++;
    this.fail(old, part);
    Object.assign(this.node(next), { role: 'primary', timeline: this.timeline, position: this.node(old).position + 1 });
    this.node(old).role = 'standby';
  }
}

/** Evenly spread, which doubles of fast-check are not. */
function upTo(max: number): fc.Arbitrary<number> {
  return fc.integer({ min: 0, max: max * 1000 }).map((value) => value / 1000);
}

const step: fc.Arbitrary<Step> = fc.record({
  afterMs: fc.oneof({ weight: 5, arbitrary: upTo(3) }, { weight: 1, arbitrary: upTo(300) }),
  kind: fc.oneof(
    { weight: 4, arbitrary: fc.constant('write' as const) },
    { weight: 5, arbitrary: fc.constant('read' as const) },
    { weight: 4, arbitrary: fc.constant('read and wait' as const) },
    { weight: 6, arbitrary: fc.constant('replay' as const) },
    { weight: 1, arbitrary: fc.constantFrom('crash' as const, 'fail over' as const, 'delay' as const) },
  ),
  who: fc.nat({ max: 5 }),
  part: upTo(0.999),
});

describe('a session', () => {
  it('sees its own writes and never goes back in time, whatever happens to the nodes', () => {
    let replicaReads = 0;
    let waits = 0;
    fc.assert(
      fc.property(fc.noBias(fc.array(step, { minLength: 200, maxLength: 200 })), (script) => {
        const world = new World(NODES);
        world.run(script);
        replicaReads += world.replicaReads;
        waits += world.waits;
        expect(world.violations).toEqual([]);
      }),
      { numRuns: 200 },
    );
    // Not because nothing was ever read from a replica.
    expect(replicaReads).toBeGreaterThan(2000);
    expect(waits).toBeGreaterThan(1000);
  });
});
