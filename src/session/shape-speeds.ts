import type { Facts } from '../sql/facts.ts';

/** A run that takes longer, or returns more, holds up those behind it. Ours: some hundred times what a point read takes. */
const QUICK_MS = 10;
const SMALL_BYTES = 16 * 1024;
/** Runs on a lease in a row that prove a shape quick. */
const PROBATION_RUNS = 3;
/**
 * A shape of long replies, or one that is slow on average, proves anew that it is not by this many more; by twice as many each
 * time, up to a bound, unless so many shared runs were cheap in between. Ours.
 */
const PENALTY_RUNS = 20;
const MAX_PENALTY_RUNS = 5_000;
const FORGIVING_RUNS = 1_000;
/** Runs on leases hold each other up on a busy machine: as if this many at most had shared one processor. Ours. */
const MAX_RUNNING = 16;
/** What the backend may take for a read that waits in line with others, beyond the way there and back. Ours. */
const CHEAP_MS = 0.3;
/** On average a shared run may take this much, with all others who want the processor. Ours. */
const CHEAP_SHARED_MS = 2;
/** Shared runs that the average is made of, about. */
const SMOOTHING = 64;
/** The quickest answer of a backend is forgotten by this factor with each run: the way there may have become longer. */
const FORGETTING = 1.0005;

export interface LeasedRun {
  /** Its index. */
  readonly backend: number;
  /** How long it took until its answer was handled; and at least, until it had come. */
  readonly ms: number;
  readonly atLeastMs: number;
  /** Of its reply. */
  readonly bytes: number;
  /** Runs on that backend at the time, this one among them. */
  readonly underWay: number;
}

interface Speed {
  /** What can be said of all runs: nothing but a read that depends on nothing of its connection. */
  readonly isPlain: boolean;
  /** Quick runs on a lease in a row, not counted beyond those that prove it. */
  quickRuns: number;
  /** Runs by which it makes up for the next offence; and cheap ones on shared connections since the last. */
  penaltyRuns: number;
  cheapRuns: number;
  /** The quickest run on a lease beyond the quickest of any shape; the others were held up by something else. */
  costMs: number;
  /** What shared runs take lately. */
  sharedMs: number;
}

/**
 * Which shapes are known to be cheap, from how their last runs went. One that is slow loses its place at once; what it has shown
 * to cost at best is kept, since a busy machine makes any run slow, and only quick ones say something about the shape. Kept as long as their facts are: the bound is that of
 * the statement cache.
 */
export class ShapeSpeeds {
  readonly #speeds = new WeakMap<Facts, Speed>();
  /** The quickest answer of each backend, by index: what the way there and back takes. */
  readonly #floorsMs: number[] = [];

  /** What a read of this shape costs its backend, in ms, if it may be pipelined with those of others; else null. */
  sharedCost(facts: Facts): number | null {
    const speed = this.#speeds.get(facts);
    const mayShare = speed?.isPlain === true && speed.quickRuns >= PROBATION_RUNS && speed.costMs <= CHEAP_MS;
    return mayShare ? speed.costMs : null;
  }

  /** Of a run on a lease. */
  noteLeased(facts: Facts, { backend, ms, atLeastMs, bytes, underWay }: LeasedRun): void {
    const ownMs = atLeastMs / Math.max(1, Math.min(MAX_RUNNING, underWay));
    const speed = this.#speedOf(facts);
    const floor = Math.min(ms, (this.#floorsMs[backend] ?? ms) * FORGETTING);
    this.#floorsMs[backend] = floor;
    if (bytes > SMALL_BYTES) punish(speed);
    else if (ownMs > QUICK_MS) speed.quickRuns = Math.min(speed.quickRuns, 0);
    else {
      if (speed.quickRuns < PROBATION_RUNS) speed.quickRuns++;
      speed.costMs = Math.min(speed.costMs, ms - floor, ownMs);
    }
  }

  /** @param ms how long it took at least after the read before it; @param bytes of its reply */
  noteShared(facts: Facts, ms: number, bytes: number): void {
    const speed = this.#speedOf(facts);
    // One hiccup of the machine, however long, says no more of the shape than that this run was not quick.
    speed.sharedMs += (Math.min(ms, QUICK_MS) - speed.sharedMs) / SMOOTHING;
    if (bytes > SMALL_BYTES || speed.sharedMs > CHEAP_SHARED_MS) punish(speed);
    else if (ms > QUICK_MS) speed.quickRuns = 0;
    else if (++speed.cheapRuns === FORGIVING_RUNS) speed.penaltyRuns = PENALTY_RUNS;
  }

  /** Of an error, or a client that has gone: it may have come early, which proves nothing. */
  noteFailed(facts: Facts, ms: number): void {
    if (ms <= QUICK_MS) return;
    const speed = this.#speedOf(facts);
    speed.quickRuns = Math.min(speed.quickRuns, 0);
  }

  #speedOf(facts: Facts): Speed {
    let speed = this.#speeds.get(facts);
    if (speed === undefined) {
      const costMs = Number.POSITIVE_INFINITY;
      speed = { isPlain: isPlain(facts), quickRuns: 0, penaltyRuns: PENALTY_RUNS, cheapRuns: 0, costMs, sharedMs: 0 };
      this.#speeds.set(facts, speed);
    }
    return speed;
  }
}

function punish(speed: Speed): void {
  speed.quickRuns = -speed.penaltyRuns;
  speed.penaltyRuns = Math.min(MAX_PENALTY_RUNS, 2 * speed.penaltyRuns);
  speed.cheapRuns = 0;
  speed.costMs = Number.POSITIVE_INFINITY;
  speed.sharedMs = 0;
}

function isPlain({ effect, statements, callsVolatile, sessionState, residue, settings }: Facts): boolean {
  const isRead = effect === 'read' && statements.length === 1 && statements[0]?.kind === 'query';
  return isRead && !callsVolatile && sessionState === null && residue.size === 0 && settings.size === 0;
}
