import type { BackendView, View, ViewSource } from '../topology/view.ts';
import type { Clock } from '../util/clock.ts';

/** A failover takes seconds; so long a missing primary is taken for one. */
const PRIMARY_GRACE_MS = 30_000;

export interface ReadinessOptions {
  readonly views: ViewSource;
  readonly clock: Clock;
  /** False when every listener is read-only: then any usable backend is enough. */
  readonly needsPrimary: boolean;
  /** True from the moment the process was asked to stop. */
  draining(): boolean;
}

/**
 * Ready means: new work would be served, or would be soon. So pgweir is not ready before it has seen a primary, stays ready
 * through the pause of a failover (a balancer that turned clients away then would make an outage of it, and the other
 * instances see no primary either), and stops being ready when the pause has become longer than a failover takes.
 */
export class Readiness {
  readonly #options: ReadinessOptions;
  #missingSinceMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Why new clients should not be sent here now, or null. */
  problem(): string | null {
    const { views, needsPrimary, clock } = this.#options;
    if (this.#options.draining()) return 'draining';
    const [view, nowMs] = [views.current(), clock.now()];
    if (!view.backends.some((backend) => isUp(backend, nowMs))) return 'no backend is reachable';
    return needsPrimary ? this.#primaryProblem(view, nowMs) : readProblem(view, nowMs);
  }

  #primaryProblem(view: View, nowMs: number): string | null {
    if (view.primary !== null) {
      this.#missingSinceMs = Number.POSITIVE_INFINITY;
      return null;
    }
    this.#missingSinceMs = Math.min(this.#missingSinceMs, nowMs);
    return nowMs - this.#missingSinceMs < PRIMARY_GRACE_MS ? null : 'no primary is known';
  }
}

/** Whether the backend answered its last probe, and that not too long ago. */
export function isUp({ up, expiresAtMs }: BackendView, nowMs: number): boolean {
  return up && nowMs <= expiresAtMs;
}

function readProblem(view: View, nowMs: number): string | null {
  const usable = view.backends.some((backend) => isUp(backend, nowMs) && backend.problem === null && backend.role !== 'unknown');
  return usable ? null : 'no usable replica is known';
}
