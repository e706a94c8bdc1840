import { BACKEND, FRONTEND } from './codes.ts';

/** PostgreSQL's bound on one piece of memory. Source: MaxAllocSize in src/include/utils/memutils.h. */
const MAX_ALLOC_SIZE = 0x3fff_ffff;

/** Largest length field of a message that carries data. Source: src/include/libpq/libpq.h. */
export const PQ_LARGE_MESSAGE_LIMIT = MAX_ALLOC_SIZE - 1;

/** Largest length field of a message without data. Source: src/include/libpq/libpq.h. */
const PQ_SMALL_MESSAGE_LIMIT = 10_000;

/** Largest length field of a password or SASL message. Source: PG_MAX_AUTH_TOKEN_LENGTH in src/include/libpq/auth.h. */
const PG_MAX_AUTH_TOKEN_LENGTH = 65_535;

/** Largest startup packet behind its length field. Source: MAX_STARTUP_PACKET_LENGTH in src/include/libpq/pqcomm.h. */
export const MAX_STARTUP_PACKET_LENGTH = 10_000;

/** Bounds of the secret in BackendKeyData and CancelRequest. Source: protocol documentation, BackendKeyData, since 3.2. */
export const MIN_CANCEL_KEY_BYTES = 4;
export const MAX_CANCEL_KEY_BYTES = 256;

/**
 * Largest length field of a backend's message with data. A backend builds the body in a StringInfo, which ends in a zero
 * of its own (src/common/stringinfo.c); the length field counts its own four bytes on top.
 */
const BACKEND_LARGE_LIMIT = MAX_ALLOC_SIZE - 1 + 4;

/** libpq takes the stream for lost when another than the data messages is longer. Source: pqParseInput3 in fe-protocol3.c. */
const BACKEND_SMALL_LIMIT = 30_000;

/** libpq's bound on Authentication and NegotiateProtocolVersion. Source: PQconnectPoll in fe-connect.c. */
const BACKEND_LOGIN_LIMIT = 2_000;

/** libpq has 30 000 here, other drivers nothing; a reported search_path of PostgreSQL 18 can be long. Ours. */
const PARAMETER_STATUS_LIMIT = 1_048_576;

/** The whole message, however long its type may be. */
const WHOLE = 0xffff_ffff;

/**
 * What a framer demands of each message type, indexed by type byte. Plain tables, since they are read for every message.
 */
export interface FramerRules {
  readonly sender: 'frontend' | 'backend';
  /** Text of the error for a type that is not allowed; the type's number is appended. */
  readonly refusal: string;
  /** Largest value of the length field (which counts itself, not the type byte); 0: the type is not allowed. */
  readonly maxLength: Uint32Array;
  /** How many bytes of the message, header included, its first piece must have (or the whole message if shorter); at least 5. */
  readonly headBytes: Uint32Array;
}

/** [type, largest length field, bytes of the first piece] */
type Row = readonly [type: number, maxLength: number, headBytes: number];

const HEADER = 5;

function table(sender: FramerRules['sender'], refusal: string, rows: readonly Row[]): FramerRules {
  const maxLength = new Uint32Array(256);
  const headBytes = new Uint32Array(256).fill(HEADER);
  for (const [type, max, head] of rows) {
    maxLength[type] = max;
    headBytes[type] = head;
  }
  return { sender, refusal, maxLength, headBytes };
}

/** Names in Bind must end within this many bytes of the message to be seen. Ours: names of PostgreSQL end at 63 bytes. */
const BIND_HEAD_BYTES = 4_096;

/**
 * A RowDescription that is looked at. Ours: 1664 columns (MaxTupleAttributeNumber in htup_details.h) with names of 63 bytes
 * have 137 000, and builds with longer names are to fit.
 */
export const MAX_DESCRIPTION_BYTES = 1_048_576;

/** Types of parameters are looked at if all are in this many bytes of the message. Ours: a thousand of them. */
const PARAMETERS_HEAD_BYTES = 4_096;

/** An error's fields are looked at in this many of its bytes; SQLSTATE comes third, the routine last. Ours. */
const ERROR_HEAD_BYTES = 65_536;

/**
 * A client that is logged in. Source: SocketBackend in src/backend/tcop/postgres.c.
 * @param textBytes how much of a Query or Parse is held until it can be looked at; longer ones come in pieces.
 */
export function clientRules(textBytes: number): FramerRules {
  return table('frontend', 'invalid frontend message type ', [
    [FRONTEND.query, PQ_LARGE_MESSAGE_LIMIT, textBytes],
    [FRONTEND.parse, PQ_LARGE_MESSAGE_LIMIT, textBytes],
    [FRONTEND.bind, PQ_LARGE_MESSAGE_LIMIT, BIND_HEAD_BYTES],
    [FRONTEND.functionCall, PQ_LARGE_MESSAGE_LIMIT, HEADER],
    [FRONTEND.copyData, PQ_LARGE_MESSAGE_LIMIT, HEADER],
    [FRONTEND.copyDone, PQ_SMALL_MESSAGE_LIMIT, HEADER],
    [FRONTEND.copyFail, PQ_SMALL_MESSAGE_LIMIT, HEADER],
    [FRONTEND.close, PQ_SMALL_MESSAGE_LIMIT, WHOLE],
    [FRONTEND.describe, PQ_SMALL_MESSAGE_LIMIT, WHOLE],
    [FRONTEND.execute, PQ_SMALL_MESSAGE_LIMIT, WHOLE],
    [FRONTEND.flush, PQ_SMALL_MESSAGE_LIMIT, WHOLE],
    [FRONTEND.sync, PQ_SMALL_MESSAGE_LIMIT, WHOLE],
    [FRONTEND.terminate, PQ_SMALL_MESSAGE_LIMIT, WHOLE],
  ]);
}

/** A client that is proving who it is. Source: recv_password_packet and CheckSASLAuth in src/backend/libpq. */
export const CLIENT_LOGIN_RULES: FramerRules = table('frontend', 'expected password response, got message type ', [
  [FRONTEND.password, PG_MAX_AUTH_TOKEN_LENGTH, WHOLE],
]);

/** A backend, during login and after. Source: pqParseInput3 in src/interfaces/libpq/fe-protocol3.c. */
export const BACKEND_RULES: FramerRules = table('backend', 'unexpected backend message type ', [
  [BACKEND.authentication, BACKEND_LOGIN_LIMIT, WHOLE],
  [BACKEND.negotiateProtocolVersion, BACKEND_LOGIN_LIMIT, WHOLE],
  [BACKEND.backendKeyData, 4 + 4 + MAX_CANCEL_KEY_BYTES, WHOLE],
  [BACKEND.parameterStatus, PARAMETER_STATUS_LIMIT, WHOLE],
  [BACKEND.readyForQuery, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.commandComplete, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.errorResponse, BACKEND_LARGE_LIMIT, ERROR_HEAD_BYTES],
  [BACKEND.noticeResponse, BACKEND_LARGE_LIMIT, HEADER],
  // A payload is shorter than 8000 bytes (NOTIFY_PAYLOAD_MAX_LENGTH in async.c), and it may have to wait for its turn, whole.
  [BACKEND.notificationResponse, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.parseComplete, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.bindComplete, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.closeComplete, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.noData, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.emptyQueryResponse, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.portalSuspended, BACKEND_SMALL_LIMIT, WHOLE],
  // Up to 65 535 parameters, more than libpq's small limit lets through.
  [BACKEND.parameterDescription, 4 + 2 + 4 * 65_535, PARAMETERS_HEAD_BYTES],
  [BACKEND.rowDescription, BACKEND_LARGE_LIMIT, HEADER],
  [BACKEND.dataRow, BACKEND_LARGE_LIMIT, HEADER],
  [BACKEND.copyInResponse, BACKEND_SMALL_LIMIT, HEADER],
  [BACKEND.copyOutResponse, BACKEND_SMALL_LIMIT, HEADER],
  [BACKEND.copyBothResponse, BACKEND_SMALL_LIMIT, HEADER],
  [BACKEND.copyData, BACKEND_LARGE_LIMIT, HEADER],
  [BACKEND.copyDone, BACKEND_SMALL_LIMIT, WHOLE],
  [BACKEND.functionCallResponse, BACKEND_LARGE_LIMIT, HEADER],
]);

/** Holds every message until it is whole: for conversations whose every message is read and small by its limits. */
export function wholeMessages(rules: FramerRules): FramerRules {
  return { ...rules, headBytes: new Uint32Array(256).fill(WHOLE) };
}
