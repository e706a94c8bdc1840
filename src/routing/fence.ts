import type { Facts } from '../sql/facts.ts';
import type { Reads } from './context.ts';
import type { RoutingPolicy } from './policy.ts';

/*
 * The fence of a read is the instant that its replica must be fresh through: the latest of
 *
 * - read-your-writes: the last reply of the primary to this session. Whatever it wrote was acknowledged by then, and
 *   whatever it saw on the primary was there by then;
 * - bounded staleness: now minus the bound;
 * - monotonic reads: the last reply of a replica, for every other replica. The one that gave it cannot fall behind itself,
 *   as long as it is the same incarnation.
 *
 * Times instead of positions: no question per write, one comparison per read. What a reply can have shown was in the
 * primary's WAL when the reply came, and the position of a sample that is sent later lies beyond all of that.
 */

/** What the replica that served this session last must be fresh through. */
export function stayFenceMs(reads: Reads, policy: RoutingPolicy): number {
  const ownMs = policy.consistency === 'session' ? reads.lastPrimaryMs : -Infinity;
  return reads.maxStalenessMs === null ? ownMs : Math.max(ownMs, reads.nowMs - reads.maxStalenessMs);
}

/** What any other replica must be fresh through. It is also what a read waits for. */
export function moveFenceMs(reads: Reads, policy: RoutingPolicy): number {
  const stayMs = stayFenceMs(reads, policy);
  return policy.consistency === 'session' ? Math.max(stayMs, reads.lastReplicaMs) : stayMs;
}

/** The strictest bound among the session's own, null without one, and the hints of a batch. */
export function strictestStaleness(batch: readonly Facts[], sessionMs: number | null): number | null {
  let strictestMs = sessionMs;
  for (const { hint } of batch) {
    const hintMs = hint?.maxStalenessMs;
    if (hintMs !== undefined && (strictestMs === null || hintMs < strictestMs)) strictestMs = hintMs;
  }
  return strictestMs;
}
