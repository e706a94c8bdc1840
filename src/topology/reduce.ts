import { assertNever } from '../util/assert.ts';
import type { Lsn } from '../util/lsn.ts';
import { LsnClock } from './lsn-clock.ts';
import type { Answer, Observation } from './observation.ts';
import { adoptIdentifier, electPrimary, type Writable } from './roles.ts';
import type { BackendView, Problem, Role, View } from './view.ts';

/*
 * From observations to views. Pure: time comes in with each call.
 *
 * Lag is measured at the replica's own observation: from the instant at which it was asked back to what it contains by
 * then, proven or as a rule (lsn-clock.ts says when the two differ). A newer sample of the primary alone never makes a
 * replica look late. Health looks at the same span, but only up to the
 * newest sample: while there is no primary nothing new is written that a replica could lack, so reads go on. (What
 * lag is reported, and what a bound on staleness compares with, keeps growing then.)
 *
 * A replica leaves above max_lag and returns in one probe, below 4/5 of it, with a slow start of its share.
 *
 * Positions compare only within one history. A standby that has received more from a lost primary than the promoted
 * node had is ahead in numbers and contains writes that never happened, so a standby counts only on the timeline of the
 * primary. It proves that by the timeline that its WAL receiver streams, or by its control file; any role may read the
 * latter, but it changes with restartpoints only, minutes after a promotion. Roles with pg_read_all_stats see the
 * former at once.
 */

/** A replica that left for its lag comes back below this part of the limit. */
const RETURN_FRACTION = 0.8;
/** Share of its weight with which a returning replica begins. */
const COLD_WARMTH = 0.1;

export interface TopologyNode {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
}

export interface TopologyPolicy {
  readonly maxLagMs: number;
  /** Null: no limit. */
  readonly maxLagBytes: number | null;
  /** How long after its request was sent an answer counts. */
  readonly observationLifeMs: number;
  /** How long a returning replica takes to its full share. */
  readonly slowStartMs: number;
}

/** What is remembered of one node. */
interface Node {
  readonly index: number;
  readonly about: TopologyNode;
  /** The last good answer; kept while the node is down, for the record. */
  answer: Answer | null;
  /** Why the last probe failed; null after an answer, 'not probed yet' before the first outcome. */
  failure: Problem | null;
  /** No break since the last answer. */
  continuous: boolean;
  incarnation: number;
  /** The highest timeline proven in this incarnation. */
  timeline: number | null;
  lateByTime: boolean;
  lateByBytes: boolean;
  problem: Problem | null;
  /** Was out for a reason that cools it down. */
  cold: boolean;
  warmingSinceMs: number;
}

export class TopologyReducer {
  readonly #nodes: readonly Node[];
  #policy: TopologyPolicy;
  #clock = new LsnClock();
  /** Of flush positions, each as old as what is flushed as a rule. For lag and health alone, never for a fence. */
  #flushClock = new LsnClock();
  #primary: number | null = null;
  #splitBrain = false;
  #identifier: string | null = null;
  /** The timeline of the last primary; 0 before the first. */
  #timeline = 0;
  /** The node that the clock's samples are of. */
  #sampled: number | null = null;
  #epoch = 0;
  #version = 0;

  constructor(nodes: readonly TopologyNode[], policy: TopologyPolicy) {
    this.#policy = policy;
    this.#nodes = nodes.map((about, index) => ({
      index,
      about,
      answer: null,
      failure: 'not probed yet',
      continuous: false,
      incarnation: 0,
      timeline: null,
      lateByTime: false,
      lateByBytes: false,
      problem: 'not probed yet',
      cold: false,
      warmingSinceMs: -Infinity,
    }));
  }

  /** When the newest sample of the present clock was sent; -Infinity without one. */
  get newestSampleMs(): number {
    return this.#clock.newestMs;
  }

  /** For how long at least the node has been behind, as of when it was last asked; 0 when it keeps up or is no replica. */
  behindMs(index: number): number {
    const answer = this.#nodes[index]?.answer ?? null;
    if (answer === null || answer.lsn === null) return 0;
    return Math.max(0, answer.sentAtMs - this.#clock.missingSince(answer.lsn));
  }

  set policy(policy: TopologyPolicy) {
    this.#policy = policy;
  }

  /** Takes in what a probe of the node brought. */
  observe(index: number, observation: Observation): void {
    const node = this.#nodes[index];
    if (node === undefined) return;
    switch (observation.kind) {
      case 'answer':
        node.answer = observation;
        node.failure = null;
        node.continuous = true;
        if (observation.timeline !== null) node.timeline = Math.max(node.timeline ?? 0, observation.timeline);
        break;
      case 'failure':
        node.failure = observation.problem;
        loseContinuity(node);
        break;
      case 'break':
        loseContinuity(node);
        break;
      default:
        assertNever(observation, 'observation');
    }
    this.#identifier ??= adoptIdentifier(this.#nodes.map(identifierOf));
    this.#elect();
    this.#sample();
  }

  /** The topology as of `nowMs`. Each call makes the next version. */
  view(nowMs: number): View {
    for (const node of this.#nodes) this.#judge(node, nowMs);
    return {
      version: ++this.#version,
      backends: this.#nodes.map((node) => this.#show(node, nowMs)),
      primary: this.#primary,
      epoch: this.#epoch,
      splitBrain: this.#splitBrain,
    };
  }

  #elect(): void {
    const writable: Writable[] = [];
    for (const node of this.#nodes) {
      const { answer, failure, index } = node;
      if (failure !== null || answer === null || answer.inRecovery || answer.readOnly) continue;
      if (answer.systemIdentifier === this.#identifier) writable.push({ index, timeline: answer.timeline ?? 0 });
    }
    const { primary, splitBrain } = electPrimary(writable, this.#primary, this.#timeline);
    this.#splitBrain = splitBrain;
    this.#primary = primary;
    if (primary === null) return;
    const timeline = this.#nodes[primary]?.answer?.timeline ?? 0;
    if (primary === this.#sampled && timeline === this.#timeline) return;
    this.#sampled = primary;
    this.#timeline = timeline;
    this.#clock = new LsnClock();
    this.#flushClock = new LsnClock();
    this.#epoch++;
  }

  /** The primary's last answer is a sample, also when it came before the node was known to be the primary. */
  #sample(): void {
    const answer = this.#primary === null ? null : (this.#nodes[this.#primary]?.answer ?? null);
    if (answer === null || answer.lsn === null) return;
    this.#clock.add(answer.sentAtMs, answer.lsn);
    const { flushed } = answer;
    if (flushed !== null) this.#flushClock.add(answer.sentAtMs - flushed.usuallyWithinMs, flushed.lsn);
  }

  #judge(node: Node, nowMs: number): void {
    this.#measure(node);
    const before = node.problem;
    node.problem = this.#problemOf(node, nowMs);
    if (node.problem !== null) node.cold ||= coolsDown(node.problem);
    else if (before !== null && node.cold) {
      node.cold = false;
      node.warmingSinceMs = nowMs;
    }
  }

  #measure(node: Node): void {
    const lagMs = this.#lagMs(node, this.#clock.newestMs);
    const lagBytes = this.#lagBytes(node);
    const { maxLagMs, maxLagBytes } = this.#policy;
    if (lagMs !== null) node.lateByTime = lagMs > maxLagMs * (node.lateByTime ? RETURN_FRACTION : 1);
    if (lagBytes !== null) {
      node.lateByBytes = maxLagBytes !== null && lagBytes > maxLagBytes * (node.lateByBytes ? RETURN_FRACTION : 1);
    }
  }

  #problemOf(node: Node, nowMs: number): Problem | null {
    const { answer } = node;
    if (node.failure !== null || answer === null) return node.failure;
    if (this.#identifier === null) return 'not probed yet';
    if (answer.systemIdentifier !== this.#identifier) return 'wrong system identifier';
    if (node.index === this.#primary) return null;
    if (nowMs >= this.#expiresAtMs(node)) return 'observation expired';
    if (!answer.inRecovery) return answer.readOnly ? 'read-only' : 'fenced';
    if (!node.continuous) return 'lag unknown';
    if (this.#epoch > 0 && node.timeline !== this.#timeline) return 'timeline not proven';
    if (this.#likelyThroughMs(node) === -Infinity) return 'lag unknown';
    if (node.lateByTime) return 'lag over max_lag';
    return node.lateByBytes ? 'lag over max_lag_bytes' : null;
  }

  #show(node: Node, nowMs: number): BackendView {
    const { index, about, answer, problem } = node;
    const isPrimary = index === this.#primary;
    const up = node.failure === null && problem !== 'observation expired';
    return {
      index,
      name: about.name,
      host: about.host,
      port: about.port,
      weight: about.weight,
      role: roleOf(node, isPrimary, up),
      up,
      problem,
      freshThroughMs: isPrimary ? Infinity : this.#freshThroughMs(node),
      expiresAtMs: isPrimary ? Infinity : this.#expiresAtMs(node),
      incarnation: node.incarnation,
      lagMs: isPrimary ? 0 : this.#lagMs(node, Infinity),
      lagBytes: isPrimary ? 0 : this.#lagBytes(node),
      lsn: answer?.lsn ?? null,
      timeline: node.timeline,
      warmth: Math.min(1, Math.max(COLD_WARMTH, (nowMs - node.warmingSinceMs) / this.#policy.slowStartMs)),
      serverVersion: answer?.serverVersion ?? null,
    };
  }

  /** What a standby has replayed that is up and follows the primary's history; null for everything else. */
  #replayed(node: Node): Lsn | null {
    const { answer } = node;
    if (answer === null || !answer.inRecovery || answer.systemIdentifier !== this.#identifier) return null;
    return node.failure === null && node.timeline === this.#timeline ? answer.lsn : null;
  }

  /** What is proven, for fences; -Infinity when nothing is. */
  #freshThroughMs(node: Node): number {
    const replayed = this.#replayed(node);
    return replayed === null ? -Infinity : this.#clock.freshThrough(replayed);
  }

  /** What holds as a rule, for lag and health: not before freshThrough. */
  #likelyThroughMs(node: Node): number {
    const replayed = this.#replayed(node);
    if (replayed === null) return -Infinity;
    return Math.max(this.#clock.freshThrough(replayed), this.#flushClock.freshThrough(replayed));
  }

  /** From when the standby was asked, but not later than `untilMs`, back to what it has as a rule; null when unknown. */
  #lagMs(node: Node, untilMs: number): number | null {
    const throughMs = this.#likelyThroughMs(node);
    if (node.answer === null || throughMs === -Infinity) return null;
    return Math.max(0, Math.min(node.answer.sentAtMs, untilMs) - throughMs);
  }

  #lagBytes(node: Node): number | null {
    if (node.answer === null || node.answer.lsn === null || this.#likelyThroughMs(node) === -Infinity) return null;
    const behind = this.#clock.lsnAt(node.answer.sentAtMs);
    return behind === null ? 0 : Math.max(0, behind - node.answer.lsn);
  }

  #expiresAtMs({ answer }: Node): number {
    return answer === null ? -Infinity : answer.sentAtMs + this.#policy.observationLifeMs;
  }
}

function loseContinuity(node: Node): void {
  if (node.continuous) node.incarnation++;
  node.continuous = false;
  node.timeline = null;
}

function identifierOf({ answer, failure }: Node): string | null | undefined {
  if (answer !== null) return answer.systemIdentifier;
  return failure === 'not probed yet' ? undefined : null;
}

function roleOf({ answer, problem }: Node, isPrimary: boolean, up: boolean): Role {
  if (isPrimary) return 'primary';
  const usable = up && problem !== 'wrong system identifier' && problem !== 'not probed yet';
  return usable && answer?.inRecovery === true ? 'replica' : 'unknown';
}

/** What is over within milliseconds, or before the first probes are in, does not cost a replica its share. */
function coolsDown(problem: Problem): boolean {
  return problem !== 'not probed yet' && problem !== 'lag unknown';
}
