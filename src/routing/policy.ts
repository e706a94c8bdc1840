/** The settings under `routing` that decisions depend on. */
export interface RoutingPolicy {
  /** `session`: a session sees its own writes and never goes back in time. `eventual`: any replica within max_lag. */
  readonly consistency: 'eventual' | 'session';
  /**
   * Where a transaction begins that is not declared read-only. `declared`: on the primary. `optimistic`: under READ COMMITTED
   * on a replica if its first statement is a read; it moves to the primary when it must.
   */
  readonly transactions: 'declared' | 'optimistic';
  /** What becomes of a read while no replica is fit for it. */
  readonly whenNoReplica: 'primary' | 'error';
}
