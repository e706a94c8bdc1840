import type { SessionContext } from '../../../src/routing/context.ts';
import { newSession } from '../../../src/routing/context.ts';
import type { RoutingPolicy } from '../../../src/routing/policy.ts';
import type { Facts, StatementFacts } from '../../../src/sql/facts.ts';
import type { BackendView, View } from '../../../src/topology/view.ts';

export const SESSION: RoutingPolicy = { consistency: 'session', transactions: 'declared', whenNoReplica: 'primary' };
export const EVENTUAL: RoutingPolicy = { consistency: 'eventual', transactions: 'declared', whenNoReplica: 'primary' };

export function context(more: Partial<SessionContext> = {}): SessionContext {
  return { ...newSession, ...more };
}

export function facts(more: Partial<Facts> = {}): Facts {
  return {
    effect: 'read',
    reason: 'plain read',
    subject: null,
    statements: [{ kind: 'query' }],
    hint: null,
    callsVolatile: false,
    sessionState: null,
    residue: new Set(),
    settings: new Set(),
    changesCatalog: false,
    ...more,
  };
}

export function control(...statements: StatementFacts[]): Facts {
  return facts({ reason: 'transaction control', statements });
}

export function replica(index: number, more: Partial<BackendView> = {}): BackendView {
  return {
    index,
    name: `pg-${index}`,
    host: `host-${index}`,
    port: 5432,
    weight: 1,
    role: 'replica',
    up: true,
    problem: null,
    freshThroughMs: 0,
    expiresAtMs: Infinity,
    incarnation: 0,
    lagMs: 0,
    lagBytes: 0,
    lsn: null,
    timeline: 1,
    warmth: 1,
    serverVersion: 180004,
    ...more,
  };
}

export const PRIMARY = replica(0, { role: 'primary', freshThroughMs: Infinity });

export function viewOf(...backends: BackendView[]): View {
  const primary = backends.find(({ role }) => role === 'primary')?.index ?? null;
  return { version: 1, backends, primary, epoch: 1, splitBrain: false };
}
