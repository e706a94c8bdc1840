import type { BackendView, View } from '../topology/view.ts';
import type { Reads } from './context.ts';
import { isEligible } from './eligibility.ts';
import type { RoutingPolicy } from './policy.ts';

/** Work under way, by backend index. */
export interface Loads {
  load(backend: number): number;
}

/**
 * The eligible replica with the least work under way for its share (weight times warmth); among equals, by chance in
 * proportion to their shares. All are looked at: they are few, and what is under way is known exactly. A session stays
 * with its replica by eligibility alone: another one is eligible only if it cannot show an older state.
 *
 * @param random a number in [0, 1) with each call.
 * @returns the index of the backend, -1 when none is eligible.
 */
export function chooseReplica(view: View, reads: Reads, policy: RoutingPolicy, loads: Loads, random: () => number): number {
  let best = -1;
  let bestLoad = Infinity;
  let sharesOfBest = 0;
  for (const backend of view.backends) {
    if (!isEligible(backend, reads, policy)) continue;
    const share = shareOf(backend);
    const load = loads.load(backend.index) / share;
    if (load > bestLoad) continue;
    if (load < bestLoad) sharesOfBest = 0;
    sharesOfBest += share;
    // Keeps each of the equals with the probability of its share, without a list of them.
    if (load < bestLoad || random() * sharesOfBest < share) best = backend.index;
    bestLoad = load;
  }
  return best;
}

function shareOf({ weight, warmth }: BackendView): number {
  return weight * warmth;
}
