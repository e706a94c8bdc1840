import type { EffectReason } from '../sql/facts.ts';

/** Where a batch goes, with the reason that is log field, metric label, explanation and test expectation at once. */
export interface Route {
  readonly target: 'primary' | 'replica';
  readonly reason: RouteReason;
}

export type RouteReason =
  | EffectReason
  | 'pinned'
  | 'in transaction'
  | 'read-only listener'
  | 'hint'
  | 'setting'
  | 'rule'
  | 'read-only transaction'
  | 'serializable transaction'
  | 'read-write transaction'
  | 'optimistic transaction'
  | 'moved to the primary'
  | 'no replica configured'
  | 'no eligible replica'
  | 'fence not reached'
  | 'batch not complete'
  | 'pipelined'
  | 'replication'
  | 'function call';
