import type { View, ViewSource } from '../topology/view.ts';
import type { Clock } from '../util/clock.ts';

export interface ReadinessOptions {
  readonly views: ViewSource;
  readonly clock: Clock;
  /** False when every listener is read-only: then any usable backend is enough. */
  readonly needsPrimary: boolean;
  /** How long work is held for a missing primary: so long its absence is a pause, not a reason to send clients elsewhere. */
  readonly holdMs: number;
  /** True from the moment the process was asked to stop. */
  draining(): boolean;
}

/**
 * Ready means: new work would be served, or held with a prospect of being served. So pgweir is not ready before it has seen
 * a primary, stays ready through the pause of a failover (a balancer that turned clients away then would make an outage of
 * it), and stops being ready when the pause has become longer than work is held.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  #missingSinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Why new clients should not be sent here now, or null. */
  problem(): string | null {
    const { views, needsPrimary } = this.#options;
    if (this.#options.draining()) return 'draining';
    const view = views.current();
    if (!view.backends.some((backend) => backend.up)) return 'no backend is reachable';
    return needsPrimary ? this.#primaryProblem(view) : readProblem(view);
  }

  #primaryProblem(view: View): string | null {
    const nowMs = this.#options.clock.now();
    if (view.primary !== null) {
      this.#missingSinceMs = Number.POSITIVE_INFINITY;
      return null;
    }
    this.#missingSinceMs = Math.min(this.#missingSinceMs, nowMs);
    return nowMs - this.#missingSinceMs < this.#options.holdMs ? null : 'no primary is known';
  }
}

function readProblem(view: View): string | null {
  const usable = view.backends.some(({ up, problem, role }) => up && problem === null && role !== 'unknown');
  return usable ? null : 'no usable replica is known';
}
