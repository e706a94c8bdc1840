import { ERRORS, type ErrorKind } from '../util/errors.ts';

/** The rows of the error registry that a peer's bytes can cause. */
export type ProtocolErrorKind = Extract<
  ErrorKind,
  'protocol_violation' | 'message_too_large' | 'unsupported_protocol' | 'backend_protocol_violation'
>;

/**
 * The peer broke the protocol. Its message is PostgreSQL's own where PostgreSQL has one, and safe for the client.
 * FATAL: the stream can no longer be trusted and is closed. ERROR: one well-framed message made no sense; the connection
 * lives, as it does with PostgreSQL (pqformat.c reports at ERROR, pqcomm.c and SocketBackend end the connection).
 */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly kind: ProtocolErrorKind;
  readonly severity: 'ERROR' | 'FATAL';
  readonly detail: string | null = null;
  readonly hint: string | null = null;

  constructor(kind: ProtocolErrorKind, message: string, severity: 'ERROR' | 'FATAL' = ERRORS[kind].severity) {
    super(message);
    this.kind = kind;
    this.severity = severity;
  }

  get sqlstate(): string {
    return ERRORS[this.kind].sqlstate;
  }
}
