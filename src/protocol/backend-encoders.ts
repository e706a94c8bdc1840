import { assert } from '../util/assert.ts';
import { allocateMessage, writeInt16, writeInt32, writeString } from './bytes.ts';
import { AUTHENTICATION, BACKEND, TRANSACTION_STATUS } from './codes.ts';
import { MAX_CANCEL_KEY_BYTES, MIN_CANCEL_KEY_BYTES } from './limits.ts';

/**
 * Encoders for what pgweir says to a client on its own behalf. Texts are byte-as-char. What a backend said is forwarded
 * as it came. Errors and notices are in `error-response.ts`.
 */

export const AUTHENTICATION_OK: Buffer = authentication(AUTHENTICATION.ok, 0);
export const AUTHENTICATION_CLEARTEXT_PASSWORD: Buffer = authentication(AUTHENTICATION.cleartextPassword, 0);

export const PARSE_COMPLETE: Buffer = allocateMessage(BACKEND.parseComplete, 0);
export const BIND_COMPLETE: Buffer = allocateMessage(BACKEND.bindComplete, 0);
export const CLOSE_COMPLETE: Buffer = allocateMessage(BACKEND.closeComplete, 0);
export const NO_DATA: Buffer = allocateMessage(BACKEND.noData, 0);
export const EMPTY_QUERY_RESPONSE: Buffer = allocateMessage(BACKEND.emptyQueryResponse, 0);

/** By transaction status. */
export const READY_FOR_QUERY = {
  idle: readyForQuery(TRANSACTION_STATUS.idle),
  inTransaction: readyForQuery(TRANSACTION_STATUS.inTransaction),
  failed: readyForQuery(TRANSACTION_STATUS.failed),
} as const;

/** Tags that pgweir itself gives, as messages. Source: src/include/tcop/cmdtaglist.h. */
export const COMMAND_COMPLETE = {
  begin: encodeCommandComplete('BEGIN'),
  startTransaction: encodeCommandComplete('START TRANSACTION'),
  commit: encodeCommandComplete('COMMIT'),
  rollback: encodeCommandComplete('ROLLBACK'),
  set: encodeCommandComplete('SET'),
  reset: encodeCommandComplete('RESET'),
  show: encodeCommandComplete('SHOW'),
  deallocate: encodeCommandComplete('DEALLOCATE'),
  deallocateAll: encodeCommandComplete('DEALLOCATE ALL'),
  discardAll: encodeCommandComplete('DISCARD ALL'),
} as const;

export function encodeCommandComplete(tag: string): Buffer {
  const message = allocateMessage(BACKEND.commandComplete, tag.length + 1);
  writeString(message, 5, tag);
  return message;
}

/** `salt`: four bytes. */
export function encodeAuthenticationMd5(salt: Buffer): Buffer {
  assert(salt.length === 4, `an md5 salt has 4 bytes, not ${salt.length}`);
  const message = authentication(AUTHENTICATION.md5Password, 4);
  salt.copy(message, 9);
  return message;
}

/** Offers SASL mechanisms, the preferred one first. */
export function encodeAuthenticationSasl(mechanisms: readonly string[]): Buffer {
  const bytes = mechanisms.reduce((sum, mechanism) => sum + mechanism.length + 1, 1);
  const message = authentication(AUTHENTICATION.sasl, bytes);
  let at = 9;
  for (const mechanism of mechanisms) at = writeString(message, at, mechanism);
  message[at] = 0;
  return message;
}

export function encodeAuthenticationSaslContinue(data: Buffer): Buffer {
  return authenticationData(AUTHENTICATION.saslContinue, data);
}

export function encodeAuthenticationSaslFinal(data: Buffer): Buffer {
  return authenticationData(AUTHENTICATION.saslFinal, data);
}

/**
 * Declines what a startup packet asked for. To be sent once, before authentication, naming all protocol options that are
 * not known. `version`: the newest that both sides speak, as sent (see codes.ts).
 * Source: SendNegotiateProtocolVersion in src/backend/tcop/backend_startup.c.
 */
export function encodeNegotiateProtocolVersion(version: number, unknownOptions: readonly string[]): Buffer {
  const bytes = unknownOptions.reduce((sum, option) => sum + option.length + 1, 8);
  const message = allocateMessage(BACKEND.negotiateProtocolVersion, bytes);
  writeInt32(message, 5, version);
  writeInt32(message, 9, unknownOptions.length);
  let at = 13;
  for (const option of unknownOptions) at = writeString(message, at, option);
  return message;
}

export function encodeParameterStatus(name: string, value: string): Buffer {
  const message = allocateMessage(BACKEND.parameterStatus, name.length + value.length + 2);
  writeString(message, writeString(message, 5, name), value);
  return message;
}

/** `key`: four bytes for a client of protocol 3.0, 4 to 256 for one of 3.2. */
export function encodeBackendKeyData(processId: number, key: Buffer): Buffer {
  assert(key.length >= MIN_CANCEL_KEY_BYTES && key.length <= MAX_CANCEL_KEY_BYTES, `cancel key of ${key.length} bytes`);
  const message = allocateMessage(BACKEND.backendKeyData, 4 + key.length);
  writeInt32(message, 5, processId);
  key.copy(message, 9);
  return message;
}

export function encodeParameterDescription(types: readonly number[]): Buffer {
  const message = allocateMessage(BACKEND.parameterDescription, 2 + 4 * types.length);
  writeInt16(message, 5, types.length);
  for (const [index, type] of types.entries()) writeInt32(message, 7 + 4 * index, type);
  return message;
}

/** OID of `text`. Source: src/include/catalog/pg_type.dat. */
const TEXT_OID = 25;
/** Behind each column's name: table OID, attribute number, type OID, type length, type modifier, format. */
const COLUMN_BYTES = 4 + 2 + 4 + 2 + 4 + 2;

/** Columns of type `text` in text format, of no table: what SHOW gives. */
export function encodeRowDescription(columns: readonly string[]): Buffer {
  const bytes = columns.reduce((sum, column) => sum + column.length + 1 + COLUMN_BYTES, 2);
  const message = allocateMessage(BACKEND.rowDescription, bytes);
  writeInt16(message, 5, columns.length);
  let at = 7;
  for (const column of columns) {
    at = writeString(message, at, column);
    writeInt32(message, at, 0);
    writeInt16(message, at + 4, 0);
    writeInt32(message, at + 6, TEXT_OID);
    writeInt16(message, at + 10, -1);
    writeInt32(message, at + 12, -1);
    writeInt16(message, at + 16, 0);
    at += COLUMN_BYTES;
  }
  return message;
}

/** A row of text columns; null is NULL. */
export function encodeDataRow(values: readonly (string | null)[]): Buffer {
  const bytes = values.reduce((sum, value) => sum + 4 + (value?.length ?? 0), 2);
  const message = allocateMessage(BACKEND.dataRow, bytes);
  writeInt16(message, 5, values.length);
  let at = 7;
  for (const value of values) {
    writeInt32(message, at, value?.length ?? -1);
    at += 4;
    if (value === null) continue;
    message.write(value, at, 'latin1');
    at += value.length;
  }
  return message;
}

function readyForQuery(status: number): Buffer {
  const message = allocateMessage(BACKEND.readyForQuery, 1);
  message[5] = status;
  return message;
}

function authentication(code: number, dataBytes: number): Buffer {
  const message = allocateMessage(BACKEND.authentication, 4 + dataBytes);
  writeInt32(message, 5, code);
  return message;
}

function authenticationData(code: number, data: Buffer): Buffer {
  const message = authentication(code, data.length);
  data.copy(message, 9);
  return message;
}
