import { setTimeout as sleep } from 'node:timers/promises';
import { memoryBytesOf } from './process-usage.ts';
import type { Subject } from './subjects.ts';
import { WireClient } from './wire-client.ts';

/** The name of the measurement, for `--only`. */
export const IDLE_CASE = 'idle clients';

const IDLE_CLIENTS = 2000;
/** Before counting: what the first clients cost once is not what each of them costs. */
const FIRST_CLIENTS = 50;
const SETTLE_MS = 2000;
/** Logins at a time. */
const BATCH = 20;

/** What a client costs that is logged in and does nothing, in a sentence; null for the direct way, which is no process of its own. */
export async function measureIdle(subject: Subject): Promise<string | null> {
  const pid = subject.server?.pid;
  if (pid === undefined) return null;
  const count = Math.min(IDLE_CLIENTS, subject.maxClients - FIRST_CLIENTS);
  const clients: WireClient[] = [];
  try {
    await open(clients, subject, FIRST_CLIENTS);
    await sleep(SETTLE_MS);
    const before = memoryBytesOf(pid);
    await open(clients, subject, count);
    await sleep(SETTLE_MS);
    const after = memoryBytesOf(pid);
    if (before === null || after === null) return null;
    return `${((after - before) / count / 1024).toFixed(1)} KB for each of ${count} idle clients`;
  } catch (error) {
    return `failed: ${error instanceof Error ? error.message : error}`;
  } finally {
    for (const client of clients) client.end();
  }
}

async function open(clients: WireClient[], subject: Subject, count: number): Promise<void> {
  for (let opened = 0; opened < count; opened += BATCH) {
    const logins = Array.from({ length: Math.min(BATCH, count - opened) }, () => WireClient.login(subject.target('simple')));
    clients.push(...(await Promise.all(logins)));
  }
}
