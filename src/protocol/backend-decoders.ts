import { byteAt, readInt32, readUint16, stringEnd, textOf } from './bytes.ts';
import { AUTHENTICATION, TRANSACTION_STATUS } from './codes.ts';
import { MAX_CANCEL_KEY_BYTES, MIN_CANCEL_KEY_BYTES } from './limits.ts';
import { ProtocolError } from './protocol-error.ts';

/**
 * Readers of the messages of a backend that login, the ledger and our own queries need. Each takes a piece of the framer
 * that is the whole message, `buffer[start, end)` with the header. Nothing is read at or behind `end`; what does not fit
 * throws ProtocolError of kind `backend_protocol_violation`. Errors and notices are in `error-response.ts`.
 */

const HEADER_BYTES = 5;

export type Authentication =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext password' }
  | { readonly kind: 'md5 password'; readonly saltSlice: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl continue' | 'sasl final'; readonly dataSlice: Buffer }
  | { readonly kind: 'unsupported'; readonly code: number };

export function decodeAuthentication(buffer: Buffer, start: number, end: number): Authentication {
  const from = start + HEADER_BYTES;
  if (from + 4 > end) throw malformed('Authentication');
  const code = readInt32(buffer, from);
  const dataStart = from + 4;
  switch (code) {
    case AUTHENTICATION.ok:
      return { kind: 'ok' };
    case AUTHENTICATION.cleartextPassword:
      return { kind: 'cleartext password' };
    case AUTHENTICATION.md5Password:
      if (end - dataStart !== 4) throw malformed('Authentication');
      return { kind: 'md5 password', saltSlice: buffer.subarray(dataStart, end) };
    case AUTHENTICATION.sasl:
      return { kind: 'sasl', mechanisms: saslMechanisms(buffer, dataStart, end) };
    case AUTHENTICATION.saslContinue:
      return { kind: 'sasl continue', dataSlice: buffer.subarray(dataStart, end) };
    case AUTHENTICATION.saslFinal:
      return { kind: 'sasl final', dataSlice: buffer.subarray(dataStart, end) };
    default:
      return { kind: 'unsupported', code };
  }
}

function saslMechanisms(buffer: Buffer, from: number, end: number): string[] {
  const mechanisms: string[] = [];
  let at = from;
  while (at < end && byteAt(buffer, at) !== 0) {
    const mechanismEnd = stringEnd(buffer, at, end);
    if (mechanismEnd < 0) throw malformed('Authentication');
    mechanisms.push(textOf(buffer, at, mechanismEnd));
    at = mechanismEnd + 1;
  }
  if (at !== end - 1) throw malformed('Authentication');
  return mechanisms;
}

export interface NegotiatedVersion {
  /** The newest version the backend speaks, as sent. */
  readonly version: number;
  readonly unknownOptions: readonly string[];
}

export function decodeNegotiateProtocolVersion(buffer: Buffer, start: number, end: number): NegotiatedVersion {
  const from = start + HEADER_BYTES;
  if (from + 8 > end) throw malformed('NegotiateProtocolVersion');
  const count = readInt32(buffer, from + 4);
  const unknownOptions: string[] = [];
  let at = from + 8;
  while (at < end && unknownOptions.length < count) {
    const optionEnd = stringEnd(buffer, at, end);
    if (optionEnd < 0) break;
    unknownOptions.push(textOf(buffer, at, optionEnd));
    at = optionEnd + 1;
  }
  if (at !== end || unknownOptions.length !== count) throw malformed('NegotiateProtocolVersion');
  return { version: readInt32(buffer, from), unknownOptions };
}

export interface ParameterStatus {
  readonly name: string;
  readonly value: string;
}

export function decodeParameterStatus(buffer: Buffer, start: number, end: number): ParameterStatus {
  const from = start + HEADER_BYTES;
  const nameEnd = stringEnd(buffer, from, end);
  if (nameEnd < 0) throw malformed('ParameterStatus');
  const valueEnd = stringEnd(buffer, nameEnd + 1, end);
  if (valueEnd !== end - 1) throw malformed('ParameterStatus');
  return { name: textOf(buffer, from, nameEnd), value: textOf(buffer, nameEnd + 1, valueEnd) };
}

export interface BackendKey {
  readonly processId: number;
  /** 4 to 256 bytes, a copy. */
  readonly key: Buffer;
}

export function decodeBackendKeyData(buffer: Buffer, start: number, end: number): BackendKey {
  const keyStart = start + HEADER_BYTES + 4;
  const keyBytes = end - keyStart;
  if (keyBytes < MIN_CANCEL_KEY_BYTES || keyBytes > MAX_CANCEL_KEY_BYTES) throw malformed('BackendKeyData');
  return { processId: readInt32(buffer, keyStart - 4), key: Buffer.from(buffer.subarray(keyStart, end)) };
}

/** Transaction status byte. Bytes behind it are passed over: later versions may say more in this message. */
export function decodeReadyForQuery(buffer: Buffer, start: number, end: number): number {
  const at = start + HEADER_BYTES;
  if (at >= end) throw malformed('ReadyForQuery');
  const status = byteAt(buffer, at);
  const { idle, inTransaction, failed } = TRANSACTION_STATUS;
  if (status !== idle && status !== inTransaction && status !== failed) throw malformed('ReadyForQuery');
  return status;
}

/** The command's tag, such as `INSERT 0 1`. */
export function decodeCommandComplete(buffer: Buffer, start: number, end: number): string {
  const from = start + HEADER_BYTES;
  const tagEnd = stringEnd(buffer, from, end);
  if (tagEnd !== end - 1) throw malformed('CommandComplete');
  return textOf(buffer, from, tagEnd);
}

/** The columns of a row in text format, NULL as null. */
export function decodeDataRow(buffer: Buffer, start: number, end: number): (string | null)[] {
  const from = start + HEADER_BYTES;
  if (from + 2 > end) throw malformed('DataRow');
  const count = readUint16(buffer, from);
  const values: (string | null)[] = [];
  let at = from + 2;
  for (let index = 0; index < count; index++) {
    if (at + 4 > end) throw malformed('DataRow');
    const length = readInt32(buffer, at);
    at += 4;
    if (length === -1) {
      values.push(null);
      continue;
    }
    if (length < 0 || length > end - at) throw malformed('DataRow');
    values.push(textOf(buffer, at, at + length));
    at += length;
  }
  if (at !== end) throw malformed('DataRow');
  return values;
}

function malformed(what: string): ProtocolError {
  return new ProtocolError('backend_protocol_violation', `malformed ${what} message from the backend`);
}
