import type { Facts } from '../sql/facts.ts';

/** A run this quick and small holds up nobody behind it. Ours: some hundred times what a point read takes. */
const QUICK_MS = 10;
const SMALL_BYTES = 16 * 1024;
/** Runs on a lease in a row that prove a shape quick. */
const PROBATION_RUNS = 3;
/** A shape that was slow once proves it anew by this many more. */
const PENALTY_RUNS = 20;

interface Speed {
  /** What can be said of all runs: nothing but a read that depends on nothing of its connection. */
  readonly isPlain: boolean;
  /** Quick runs in a row, not counted beyond those that prove it. */
  quickRuns: number;
}

/**
 * Which shapes are known to be quick, from how their last runs went. Kept as long as their facts are: the bound is that of the
 * statement cache.
 */
export class ShapeSpeeds {
  readonly #speeds = new WeakMap<Facts, Speed>();

  /** Whether reads of this shape may be pipelined with those of others. */
  mayShare(facts: Facts): boolean {
    const speed = this.#speeds.get(facts);
    return speed?.isPlain === true && speed.quickRuns >= PROBATION_RUNS;
  }

  /** @param ms how long the run took; @param bytes of its reply */
  note(facts: Facts, ms: number, bytes: number): void {
    let speed = this.#speeds.get(facts);
    if (speed === undefined) {
      speed = { isPlain: isPlain(facts), quickRuns: 0 };
      this.#speeds.set(facts, speed);
    }
    if (ms > QUICK_MS || bytes > SMALL_BYTES) speed.quickRuns = -PENALTY_RUNS;
    else if (speed.quickRuns < PROBATION_RUNS) speed.quickRuns++;
  }
}

function isPlain({ effect, statements, callsVolatile, sessionState, residue, settings }: Facts): boolean {
  const isRead = effect === 'read' && statements.length === 1 && statements[0]?.kind === 'query';
  return isRead && !callsVolatile && sessionState === null && residue.size === 0 && settings.size === 0;
}
