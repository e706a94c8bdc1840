/** The settings under `routing` that decisions depend on. */
export interface RoutingPolicy {
  /** `session`: a session sees its own writes and never goes back in time. `eventual`: any replica within max_lag. */
  readonly consistency: 'eventual' | 'session';
  /** What becomes of a read while no replica is fit for it. */
  readonly whenNoReplica: 'primary' | 'error';
}
