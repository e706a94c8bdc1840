import type { Gate } from '../server/gate.ts';
import { SessionClient } from '../server/session-client.ts';
import type { ClientStats, WorkerStats } from './ports.ts';

/** What the clients of a gate are doing. */
export function clientStats(gate: Gate, limit: number): ClientStats {
  const states = { login: gate.arriving, idle: 0, active: 0, waiting: 0, 'idle in transaction': 0 };
  let pinned = 0;
  for (const client of gate.clients) {
    if (client instanceof SessionClient) {
      states[client.session.activity]++;
      if (client.session.pins.size > 0) pinned++;
    } else states.active++;
  }
  return { states, pinned, limit };
}

/** What this process has used. */
export function processUsage(slot: number): WorkerStats {
  const { user, system } = process.cpuUsage();
  return { slot, cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() };
}
