import type { BackendPool } from '../pool/backend-pool.ts';
import type { TopologyPort } from '../session/ports.ts';
import { FencePatience } from '../topology/fence-patience.ts';
import type { View } from '../topology/view.ts';
import type { Watch } from '../topology/watch.ts';
import type { Clock } from '../util/clock.ts';
import type { Turn } from '../util/turn.ts';

/** What sessions see of the topology, and tell it. */
export function topologyPort({ watch, turn, clock }: { watch: Watch; turn: Turn; clock: Clock }): TopologyPort {
  const patience = new FencePatience();
  return {
    view: () => watch.current(),
    noteTraffic: () => watch.noteTraffic(),
    suspect: (backend, cause) => watch.suspect(backend, cause),
    awaitFresh: (fenceMs, { ms, orPrimary }, done) => {
      const sinceMs = clock.now();
      const deadlineMs = sinceMs + ms;
      if (orPrimary && !patience.hasPatience(sinceMs)) return 'impatient';
      const wait = watch.waitForFence(fenceMs, deadlineMs, (reached) => {
        const nowMs = clock.now();
        // Sooner, it has not waited in vain: it was sent away.
        if (reached || nowMs >= deadlineMs) patience.ended(reached, sinceMs, nowMs);
        turn.run(() => done(reached));
      });
      if (wait === null) return 'pointless';
      patience.began(sinceMs, ms);
      return () => wait.cancel();
    },
  };
}

/**
 * Connections to a node whose role has changed are not handed on; those to a former primary end. A node that does not
 * answer takes no work: reads that hang on it move on. Inside a turn.
 */
export function followRoles(pools: readonly BackendPool[], view: View, previous: View): void {
  for (const backend of view.backends) {
    const before = previous.backends[backend.index];
    const wasPrimary = previous.primary === backend.index;
    const replaced = wasPrimary && (view.primary ?? backend.index) !== backend.index;
    const demoted = wasPrimary && (backend.role === 'replica' || backend.problem === 'fenced');
    const lost = backend.problem === 'unreachable' && before?.problem !== 'unreachable';
    if (replaced || demoted) pools[backend.index]?.endAll();
    else if (lost) pools[backend.index]?.hangs();
    else if (before !== undefined && before.role !== backend.role && backend.role !== 'unknown') {
      pools[backend.index]?.retireAll();
    }
  }
}
