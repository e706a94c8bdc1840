/**
 * Every operational error that pgweir itself reports: one row each, from which log field, metric label and the
 * ErrorResponse of the client derive. A row says whose fault it is by its SQLSTATE class (PostgreSQL's appendix A).
 * Errors of a backend are relayed as they came and are not listed here.
 */
export const ERRORS = {
  protocol_violation: { sqlstate: '08P01', severity: 'FATAL' },
  unsupported_protocol: { sqlstate: '0A000', severity: 'FATAL' },
  message_too_large: { sqlstate: '08P01', severity: 'FATAL' },
  login_timeout: { sqlstate: '57014', severity: 'FATAL' },
  invalid_authorization: { sqlstate: '28000', severity: 'FATAL' },
  invalid_password: { sqlstate: '28P01', severity: 'FATAL' },
  tls_required: { sqlstate: '28000', severity: 'FATAL' },
  plaintext_behind_tls: { sqlstate: '08P01', severity: 'FATAL' },
  too_many_clients: { sqlstate: '53300', severity: 'FATAL' },
  too_many_waiters: { sqlstate: '53300', severity: 'ERROR' },
  pool_wait_timeout: { sqlstate: '53300', severity: 'ERROR' },
  no_primary: { sqlstate: '57P03', severity: 'ERROR' },
  no_replica: { sqlstate: '57P03', severity: 'ERROR' },
  backend_unreachable: { sqlstate: '08006', severity: 'ERROR' },
  backend_login_failed: { sqlstate: '08006', severity: 'ERROR' },
  backend_protocol_violation: { sqlstate: '08P01', severity: 'ERROR' },
  backend_lost: { sqlstate: '08006', severity: 'ERROR' },
  outcome_unknown: { sqlstate: '08007', severity: 'ERROR' },
  session_settings: { sqlstate: '08006', severity: 'ERROR' },
  session_state_lost: { sqlstate: '08006', severity: 'FATAL' },
  statement_memory: { sqlstate: '53200', severity: 'ERROR' },
  query_canceled: { sqlstate: '57014', severity: 'ERROR' },
  invalid_parameter_value: { sqlstate: '22023', severity: 'ERROR' },
  undefined_parameter: { sqlstate: '42704', severity: 'ERROR' },
  feature_not_supported: { sqlstate: '0A000', severity: 'ERROR' },
  object_not_in_prerequisite_state: { sqlstate: '55000', severity: 'ERROR' },
  in_failed_transaction: { sqlstate: '25P02', severity: 'ERROR' },
  idle_in_transaction_timeout: { sqlstate: '25P03', severity: 'FATAL' },
  idle_session_timeout: { sqlstate: '57P05', severity: 'FATAL' },
  shutting_down: { sqlstate: '57P01', severity: 'FATAL' },
  internal: { sqlstate: 'XX000', severity: 'FATAL' },
} as const satisfies Record<string, { readonly sqlstate: string; readonly severity: 'ERROR' | 'FATAL' }>;

export type ErrorKind = keyof typeof ERRORS;

/** What is said beside the message; both are shown to the client, so neither may hold a secret. */
export interface ErrorDetails {
  readonly detail?: string;
  readonly hint?: string;
  /** For the log only, never for the client. */
  readonly cause?: unknown;
}

/** What was thrown, if it was an error; else an error that says it. */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** An error of the registry. Its message, detail and hint are safe for the client. */
export class OperationalError extends Error {
  override readonly name = 'OperationalError';
  readonly kind: ErrorKind;
  readonly detail: string | null;
  readonly hint: string | null;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.detail = details.detail ?? null;
    this.hint = details.hint ?? null;
  }

  get sqlstate(): string {
    return ERRORS[this.kind].sqlstate;
  }

  get severity(): 'ERROR' | 'FATAL' {
    return ERRORS[this.kind].severity;
  }
}
