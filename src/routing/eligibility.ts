import type { BackendView, View } from '../topology/view.ts';
import type { Reads } from './context.ts';
import { moveFenceMs, stayFenceMs } from './fence.ts';
import type { RoutingPolicy } from './policy.ts';
import type { RouteReason } from './route.ts';

/** A healthy replica that was observed recently enough. Unknown freshness is not freshness. */
export function isUsable(backend: BackendView, nowMs: number): boolean {
  return backend.role === 'replica' && backend.problem === null && nowMs < backend.expiresAtMs;
}

/** May this read go to this backend as a replica? */
export function isEligible(backend: BackendView, reads: Reads, policy: RoutingPolicy): boolean {
  if (!isUsable(backend, reads.nowMs) || reads.failedOn.includes(backend.index)) return false;
  const stays = backend.index === reads.lastReplica && backend.incarnation === reads.lastReplicaIncarnation;
  return backend.freshThroughMs >= (stays ? stayFenceMs(reads, policy) : moveFenceMs(reads, policy));
}

export function hasEligible(view: View, reads: Reads, policy: RoutingPolicy): boolean {
  for (const backend of view.backends) if (isEligible(backend, reads, policy)) return true;
  return false;
}

/** Why no replica is eligible. `fence not reached`: waiting a little may help, since some replica is usable. */
export function whyNoneEligible(view: View, reads: Reads): RouteReason {
  if (view.backends.length === 1) return 'no replica configured';
  for (const backend of view.backends) {
    if (isUsable(backend, reads.nowMs) && !reads.failedOn.includes(backend.index)) return 'fence not reached';
  }
  return 'no eligible replica';
}
