import { setTimeout as sleep } from 'node:timers/promises';
import { median, quantile } from '../bench/statistics.ts';
import { Chance } from './chance.ts';
import { ChaosClient } from './client.ts';
import { accountOf } from './metrics.ts';
import type { ChaosOptions } from './options.ts';
import { simple } from './question.ts';
import { Site } from './site.ts';

const CLIENTS = 64;
const ROUND_MS = 5000;
const WARM_UP_MS = 1000;
/** One read in so many naps. */
const NAPS_ONCE_IN = 100;
const NAP_MS = 50;
const ROWS = 100_000;
/** No more than this times what the direct way takes. */
const TARGET = 1.5;

interface Times {
  readonly reads: number;
  readonly p50: number;
  readonly p99: number;
}

/**
 * What slow reads of others do to quick ones: point reads of many clients, one in a hundred of which is a nap instead,
 * through pgweir and on direct connections to a replica, in turn. Only the quick ones are timed.
 */
export async function measureNeighbours({ rounds, seed, shared }: ChaosOptions): Promise<void> {
  await using site = await Site.open(shared);
  await site.cluster.primary.query(`INSERT INTO counters SELECT id, id FROM generate_series(1, ${ROWS}) id; ANALYZE counters`);
  await site.cluster.waitForReplay();
  const [replica] = site.cluster.replicas;
  const ways = { direct: replica?.port ?? 0, pgweir: site.pgweir.port };
  const results: Record<keyof typeof ways, Times[]> = { direct: [], pgweir: [] };
  for (const port of Object.values(ways)) await load(port, seed, WARM_UP_MS);
  for (let round = 1; round <= rounds; round++) {
    for (const way of ['direct', 'pgweir'] as const) results[way].push(await load(ways[way], seed + round, ROUND_MS));
  }
  for (const way of ['direct', 'pgweir'] as const) {
    const of = (read: (times: Times) => number) => median(results[way].map(read));
    const perSecond = of(({ reads }) => reads) / (ROUND_MS / 1000);
    print(
      `${way}: ${perSecond.toFixed(0)} quick reads/s, p50 ${of(({ p50 }) => p50).toFixed(2)} ms, p99 ${of(({ p99 }) => p99).toFixed(2)} ms`,
    );
  }
  print(accountOf(await site.metrics()));
  const ratios = results.pgweir.map(({ p99 }, round) => p99 / (results.direct[round]?.p99 ?? Number.NaN));
  print(`p99 by direct: ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}); target ${TARGET}`);
}

async function load(port: number, seed: number, ms: number): Promise<Times> {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => ChaosClient.login(port)));
  const times: number[] = [];
  const end = performance.now() + ms;
  await Promise.all(clients.map((client, number) => read(client, new Chance(seed * CLIENTS + number), end, times)));
  for (const client of clients) client.destroy();
  await sleep(100);
  times.sort((a, b) => a - b);
  return { reads: times.length, p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}

async function read(client: ChaosClient, chance: Chance, end: number, times: number[]): Promise<void> {
  for (let began = performance.now(); began < end; began = performance.now()) {
    const naps = chance.once(NAPS_ONCE_IN);
    const text = naps ? `SELECT naps(${NAP_MS})` : `SELECT n FROM counters WHERE id = ${chance.between(1, ROWS)}`;
    const { sqlstate, message } = await client.ask(simple('read', text, []).bytes, text);
    if (sqlstate !== null) throw new Error(`${text}: ${sqlstate} ${message}`);
    if (!naps) times.push(performance.now() - began);
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
