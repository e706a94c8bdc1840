import { setTimeout as sleep } from 'node:timers/promises';
import { isChosen } from './cases.ts';
import { usageOf } from './process-usage.ts';
import type { RunningServer } from './site.ts';
import type { Subject } from './subjects.ts';
import { formatTable } from './table.ts';
import { WireClient } from './wire-client.ts';

const MEGABYTE = 2 ** 20;
const ROW_BYTES = 1024;
const RESULT_ROWS = 1024 * 1024;
const RESULT = `SELECT repeat('x', ${ROW_BYTES}) FROM generate_series(1, ${RESULT_ROWS})`;
const SLOW_BYTES_PER_SECOND = 150 * MEGABYTE;
const SAMPLE_MS = 100;
/** What did not pass by then has shown its memory. */
const RESULT_TIME_LIMIT_MS = 60_000;

const IDLE_CLIENTS = 2000;
/** Before counting: what the first clients cost once is not what each of them costs. */
const FIRST_CLIENTS = 50;
const SETTLE_MS = 2000;
/** Logins at a time. */
const BATCH = 20;

/** Whose memory is measured: all but the direct way, which has no process of its own. */
interface Proxy extends Subject {
  readonly server: RunningServer;
}

/** Names of the measurements, for `--only`. */
export const MEMORY_CASES = ['memory result fast', 'memory result slow', 'memory idle'] as const;

/** Measures what is chosen with every proxy and prints a table; nothing when nothing is chosen. */
export async function measureMemory(subjects: readonly Subject[], only: readonly string[]): Promise<string | null> {
  const rows: string[][] = [];
  for (const subject of subjects.filter(isProxy)) {
    for (const name of MEMORY_CASES.filter((each) => isChosen(each, only))) {
      const result = await measureOne(name, subject).catch(
        (error: unknown) => `failed: ${error instanceof Error ? error.message : error}`,
      );
      rows.push([name, subject.name, result]);
    }
  }
  if (rows.length === 0) return null;
  const columns = ['measurement', 'way', 'result'].map((title) => ({ title, align: 'left' }) as const);
  return formatTable(
    columns,
    MEMORY_CASES.flatMap((name) => rows.filter(([measured]) => measured === name)),
  );
}

function isProxy(subject: Subject): subject is Proxy {
  return subject.server !== null;
}

function measureOne(name: (typeof MEMORY_CASES)[number], subject: Proxy): Promise<string> {
  if (name === 'memory idle') return idleClients(subject);
  return largeResult(subject, name === 'memory result slow' ? SLOW_BYTES_PER_SECOND : Number.POSITIVE_INFINITY);
}

const WARM_UP_QUERIES = 1000;

/** How much the memory grows while one result of a gigabyte passes. */
async function largeResult(subject: Proxy, bytesPerSecond: number): Promise<string> {
  const client = await WireClient.login(subject.target('simple'));
  try {
    // The parser of pgweir is compiled in the background when it is first used, which takes memory for a second.
    for (let each = 0; each < WARM_UP_QUERIES; each++) await client.query(`SELECT ${each} AS warm_up_${each}`);
    await sleep(SETTLE_MS);
    const before = memoryOf(subject);
    let most = before;
    const sampling = setInterval(() => {
      most = Math.max(most, memoryOf(subject));
    }, SAMPLE_MS);
    const start = performance.now();
    const [limit, reply] = [AbortSignal.timeout(RESULT_TIME_LIMIT_MS), client.query(RESULT, bytesPerSecond)];
    limit.addEventListener('abort', () => client.end());
    await reply
      .catch((error: unknown) => {
        if (!limit.aborted) throw error;
      })
      .finally(() => clearInterval(sampling));
    if (!limit.aborted && client.received < RESULT_ROWS * ROW_BYTES) throw new Error(`only ${client.received} bytes came`);
    const seconds = (performance.now() - start) / 1000;
    const passed = client.received / MEGABYTE;
    return `+${((most - before) / MEGABYTE).toFixed(1)} MB on ${(before / MEGABYTE).toFixed(0)} MB while ${passed.toFixed(0)} MB passed at ${(passed / seconds).toFixed(0)} MB/s`;
  } finally {
    client.end();
  }
}

/** What a client costs that is logged in and does nothing. */
async function idleClients(subject: Proxy): Promise<string> {
  const count = Math.min(IDLE_CLIENTS, subject.maxClients - FIRST_CLIENTS);
  const clients: WireClient[] = [];
  try {
    await open(clients, subject, FIRST_CLIENTS);
    await sleep(SETTLE_MS);
    const before = memoryOf(subject);
    await open(clients, subject, count);
    await sleep(SETTLE_MS);
    const each = (memoryOf(subject) - before) / count;
    return `${(each / 1024).toFixed(1)} KB for each of ${count} idle clients`;
  } finally {
    for (const client of clients) client.end();
  }
}

async function open(clients: WireClient[], subject: Proxy, count: number): Promise<void> {
  for (let opened = 0; opened < count; opened += BATCH) {
    const logins = Array.from({ length: Math.min(BATCH, count - opened) }, () => WireClient.login(subject.target('simple')));
    clients.push(...(await Promise.all(logins)));
  }
}

function memoryOf(subject: Proxy): number {
  return usageOf(subject.server.pid)?.memoryBytes ?? Number.NaN;
}
