import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';
import { Load, type Tally, total } from './load.ts';
import type { PostgresNode } from './postgres-node.ts';

const CALM_MS = 1500;
const WITHOUT_REPLICA_MS = 1000;
const RETURN_TIMEOUT_MS = 10_000;
const POLL_MS = 20;

/** A promise of pgweir, put to the test. */
export interface Proof {
  readonly holds: boolean;
  /** What was seen, in words. */
  readonly text: string;
}

/** Puts load on `address`, kills a replica under it and starts it again, and says what became of the queries. */
export async function prove(cluster: Cluster, address: { host: string; port: number }): Promise<Proof[]> {
  await using load = new Load({ address, readers: 8, writers: 20, pauseMs: 2 });
  await sleep(CALM_MS);
  const calm = load.take();
  const victim = cluster.replicas.at(-1) ?? cluster.primary;
  await victim.kill();
  await sleep(WITHOUT_REPLICA_MS);
  const killed = load.take();
  await victim.start();
  const returnMs = await untilItServes(victim, load);
  const returned = load.take();
  return [
    readsAreServedByReplicas(calm, cluster),
    writesAreServedByThePrimary(calm, cluster),
    sessionsSeeTheirOwnWrites([calm, killed, returned]),
    nobodyNoticesALostReplica([calm, killed, returned], victim, returnMs),
  ];
}

function readsAreServedByReplicas({ reads }: Tally, { primary, replicas }: Cluster): Proof {
  const shares = replicas.map(({ name, port }) => `${reads.get(port) ?? 0} by ${name}`);
  const byPrimary = reads.get(primary.port) ?? 0;
  return {
    holds: replicas.every(({ port }) => (reads.get(port) ?? 0) > 0) && byPrimary === 0,
    text: `${total(reads)} reads: ${shares.join(', ')}, ${byPrimary === 0 ? 'none' : byPrimary} by the primary`,
  };
}

function writesAreServedByThePrimary({ writes }: Tally, { primary }: Cluster): Proof {
  const byPrimary = writes.get(primary.port) ?? 0;
  const all = total(writes);
  return {
    holds: all > 0 && byPrimary === all,
    text: `${all} writes: ${byPrimary === all ? 'all' : byPrimary} by ${primary.name}, the primary`,
  };
}

function sessionsSeeTheirOwnWrites(tallies: readonly Tally[]): Proof {
  const pairs = sum(tallies, ({ ownReads }) => total(ownReads));
  const missed = sum(tallies, (tally) => tally.missed);
  return {
    holds: pairs > 0 && missed === 0,
    text: `${pairs} times a session wrote and read it back at once: ${missed === 0 ? 'it was always there' : `${missed} times it was not there`}`,
  };
}

function nobodyNoticesALostReplica(tallies: readonly Tally[], victim: PostgresNode, returnMs: number | null): Proof {
  const queries = sum(tallies, ({ reads, writes, ownReads }) => total(reads) + total(writes) + total(ownReads));
  const failed = sum(tallies, (tally) => tally.failed);
  const firstFailure = tallies.find((tally) => tally.firstFailure !== null)?.firstFailure;
  const outcome =
    failed === 0 ? `none of ${queries} queries failed` : `${failed} queries failed, the first with: ${firstFailure}`;
  const comeback =
    returnMs === null ? 'it never served reads again' : `it served reads again ${Math.round(returnMs)} ms after its start`;
  return { holds: failed === 0 && returnMs !== null, text: `${victim.name} was killed under this load: ${outcome}; ${comeback}` };
}

/** Milliseconds until the first read that `node` served, null when there was none in time. */
async function untilItServes(node: PostgresNode, load: Load): Promise<number | null> {
  const start = performance.now();
  while (!load.tally.reads.has(node.port)) {
    if (performance.now() - start > RETURN_TIMEOUT_MS) return null;
    await sleep(POLL_MS);
  }
  return performance.now() - start;
}

function sum(tallies: readonly Tally[], countOf: (tally: Tally) => number): number {
  return tallies.reduce((all, tally) => all + countOf(tally), 0);
}
