/**
 * Bytes and numbers of the wire protocol, version 3.
 * Source: PostgreSQL documentation, "Message Formats"; src/include/libpq/protocol.h and pqcomm.h.
 */

/** First byte of what a client sends after its startup packet. `p` is PasswordMessage, SASLInitialResponse and SASLResponse. */
export const FRONTEND = {
  bind: 0x42,
  close: 0x43,
  copyData: 0x64,
  copyDone: 0x63,
  copyFail: 0x66,
  describe: 0x44,
  execute: 0x45,
  flush: 0x48,
  functionCall: 0x46,
  parse: 0x50,
  password: 0x70,
  query: 0x51,
  sync: 0x53,
  terminate: 0x58,
} as const;

/** First byte of what a backend sends. */
export const BACKEND = {
  authentication: 0x52,
  backendKeyData: 0x4b,
  bindComplete: 0x32,
  closeComplete: 0x33,
  commandComplete: 0x43,
  copyBothResponse: 0x57,
  copyData: 0x64,
  copyDone: 0x63,
  copyInResponse: 0x47,
  copyOutResponse: 0x48,
  dataRow: 0x44,
  emptyQueryResponse: 0x49,
  errorResponse: 0x45,
  functionCallResponse: 0x56,
  negotiateProtocolVersion: 0x76,
  noData: 0x6e,
  noticeResponse: 0x4e,
  notificationResponse: 0x41,
  parameterDescription: 0x74,
  parameterStatus: 0x53,
  parseComplete: 0x31,
  portalSuspended: 0x73,
  readyForQuery: 0x5a,
  rowDescription: 0x54,
} as const;

/** What stands in the place of the protocol version in packets that only look like a startup packet. */
export const REQUEST = {
  cancel: 80877102,
  ssl: 80877103,
  gssEncryption: 80877104,
} as const;

/** Protocol versions as sent: major in the upper 16 bits. 3.1 was never released (PostgreSQL 18 documentation, "Protocol Versions"). */
export const PROTOCOL_3_0 = 0x0003_0000;
export const PROTOCOL_3_2 = 0x0003_0002;

/** Prefix of startup parameters that ask for protocol extensions rather than settings. */
export const PROTOCOL_OPTION_PREFIX = '_pq_.';

/** First int32 of an Authentication message. */
export const AUTHENTICATION = {
  ok: 0,
  kerberosV5: 2,
  cleartextPassword: 3,
  md5Password: 5,
  gss: 7,
  gssContinue: 8,
  sspi: 9,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const;

/** Transaction status byte of ReadyForQuery. */
export const TRANSACTION_STATUS = {
  idle: 0x49,
  inTransaction: 0x54,
  failed: 0x45,
} as const;

/** What Describe and Close talk about. */
export const TARGET = {
  portal: 0x50,
  statement: 0x53,
} as const;

/** First byte of a TLS handshake record: a client that starts with it wants direct TLS. Source: RFC 8446 section 5.1. */
export const TLS_HANDSHAKE_RECORD = 0x16;
