import { OperationalError } from '../util/errors.ts';

export function isUnreachable(error: Error): boolean {
  return error instanceof OperationalError && error.kind === 'backend_unreachable';
}

/** No backend takes writes; `detail` says what was tried. */
export function noPrimary(detail?: string): OperationalError {
  return new OperationalError('no_primary', 'no primary is available', {
    ...(detail === undefined ? {} : { detail }),
    hint: 'None of the configured backends takes writes at the moment.',
  });
}

/** Nothing but a replica would do, and none will: `reason` is the route's. */
export function noReplica(reason: string): OperationalError {
  return new OperationalError('no_replica', 'no replica is available', {
    detail: `Reason: ${reason}.`,
    hint: 'No replica is up, within routing.max_lag, and fresh enough for this session.',
  });
}

/** `currval` and `lastval` are known to the connection that advanced the sequence, and only until somebody else has it. */
export function noSequenceValue(): OperationalError {
  return new OperationalError('object_not_in_prerequisite_state', 'currval and lastval are not defined in this session', {
    detail: 'The connection that this session used last has been used by another since, or there was none.',
    hint: 'Call them in the transaction that advances the sequence, or use INSERT ... RETURNING.',
  });
}
