import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSecondsOf, memoryBytesOf } from './process-usage.ts';
import type { Measurement } from './results.ts';
import type { Subject } from './subjects.ts';
import { WireClient } from './wire-client.ts';

const MEGABYTE = 2 ** 20;
const ROW_BYTES = 1024;
const RESULT_ROWS = 1024 * 1024;
const RESULT = `SELECT repeat('x', ${ROW_BYTES}) FROM generate_series(1, ${RESULT_ROWS})`;
const SLOW_BYTES_PER_SECOND = 150 * MEGABYTE;
const SAMPLE_MS = 100;
/** What did not pass by then has shown its memory. */
const RESULT_TIME_LIMIT_MS = 60_000;
const SETTLE_MS = 2000;

/** Names of the measurements: a client that reads as fast as it can, and one that reads slower than results come. */
export const RESULT_CASES = ['result fast', 'result slow'] as const;
export type ResultCase = (typeof RESULT_CASES)[number];

/** How one result of a gigabyte passes, and how much the memory of the proxy grows meanwhile. */
export async function measureResult(name: ResultCase, subject: Subject): Promise<Measurement> {
  const client = await WireClient.login(subject.target('simple'));
  const pid = subject.server?.pid ?? null;
  const memory = (): number | null => (pid === null ? null : memoryBytesOf(pid));
  try {
    await warmUp(client);
    const [memoryBytes, cpuBefore] = [memory(), pid === null ? null : cpuSecondsOf(pid)];
    let most = memoryBytes ?? 0;
    const sampling = setInterval(() => {
      most = Math.max(most, memory() ?? 0);
    }, SAMPLE_MS);
    const start = performance.now();
    await receive(client, name === 'result slow' ? SLOW_BYTES_PER_SECOND : Number.POSITIVE_INFINITY).finally(() =>
      clearInterval(sampling),
    );
    const seconds = (performance.now() - start) / 1000;
    const cpuAfter = pid === null ? null : cpuSecondsOf(pid);
    return {
      megabytesPerSecond: client.received / MEGABYTE / seconds,
      memoryBytes,
      growthBytes: memoryBytes === null ? null : most - memoryBytes,
      cpuMsPerGigabyte:
        cpuBefore === null || cpuAfter === null ? null : ((cpuAfter - cpuBefore) * 1000 * 2 ** 30) / client.received,
    };
  } finally {
    client.end();
  }
}

const WARM_UP_QUERIES = 1000;

/** The parser of pgweir is compiled in the background when it is first used, which takes memory for a second. */
async function warmUp(client: WireClient): Promise<void> {
  for (let each = 0; each < WARM_UP_QUERIES; each++) await client.query(`SELECT ${each} AS warm_up_${each}`);
  await sleep(SETTLE_MS);
}

async function receive(client: WireClient, bytesPerSecond: number): Promise<void> {
  const limit = AbortSignal.timeout(RESULT_TIME_LIMIT_MS);
  const end = () => client.end();
  limit.addEventListener('abort', end);
  try {
    await client.query(RESULT, bytesPerSecond);
  } catch (error) {
    if (!limit.aborted) throw error;
  } finally {
    limit.removeEventListener('abort', end);
  }
  if (!limit.aborted && client.received < RESULT_ROWS * ROW_BYTES) throw new Error(`only ${client.received} bytes came`);
}
