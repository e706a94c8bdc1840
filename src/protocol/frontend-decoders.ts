import { byteAt, readInt32, readUint16, stringEnd, textOf } from './bytes.ts';
import { TARGET } from './codes.ts';
import type { Target } from './frontend-encoders.ts';
import { ProtocolError } from './protocol-error.ts';

/**
 * Readers of the messages of a client that routing, prepared statements and login need. Each takes a piece of the framer
 * that begins its message and, unless it says otherwise, is the whole of it: `buffer[start, end)` with the header. Nothing
 * is read at or behind `end`; what does not fit throws ProtocolError with PostgreSQL's text, at ERROR where PostgreSQL
 * keeps the connection. Source: src/backend/tcop/postgres.c, src/backend/libpq/pqformat.c.
 */

const HEADER_BYTES = 5;

/** Text of a Query. */
export function decodeQuery(buffer: Buffer, start: number, end: number): string {
  return onlyString(buffer, start, end);
}

export interface ParseFields {
  readonly name: string;
  readonly text: string;
  /** The number of parameter types and their OIDs as they were sent; borrowed from the message. */
  readonly typesSlice: Buffer;
}

export function decodeParse(buffer: Buffer, start: number, end: number): ParseFields {
  const nameEnd = endOfString(buffer, start + HEADER_BYTES, end);
  const textEnd = endOfString(buffer, nameEnd + 1, end);
  const typesStart = textEnd + 1;
  if (typesStart + 2 > end) throw insufficientData();
  const typesEnd = typesStart + 2 + 4 * readUint16(buffer, typesStart);
  if (typesEnd > end) throw insufficientData();
  if (typesEnd < end) throw invalidFormat();
  return {
    name: textOf(buffer, start + HEADER_BYTES, nameEnd),
    text: textOf(buffer, nameEnd + 1, textEnd),
    typesSlice: buffer.subarray(typesStart, typesEnd),
  };
}

/** The name alone, of which the beginning of a Parse is enough. */
export function decodeName(buffer: Buffer, start: number, end: number): string {
  return textOf(buffer, start + HEADER_BYTES, endOfString(buffer, start + HEADER_BYTES, end));
}

export interface BindNames {
  readonly portal: string;
  readonly statement: string;
}

/** Reads the two names of a Bind, of which the beginning is enough; formats and values are not looked at. */
export function decodeBindNames(buffer: Buffer, start: number, end: number): BindNames {
  const portalEnd = endOfString(buffer, start + HEADER_BYTES, end);
  const statementEnd = endOfString(buffer, portalEnd + 1, end);
  return {
    portal: textOf(buffer, start + HEADER_BYTES, portalEnd),
    statement: textOf(buffer, portalEnd + 1, statementEnd),
  };
}

export interface TargetFields {
  readonly target: Target;
  readonly name: string;
}

/**
 * Values of a Bind's parameters of at most `maxBytes` bytes each, in whatever format, as far as the piece goes; the first
 * `max` of them. What makes no sense is PostgreSQL's to complain of.
 */
export function decodeShortValues(buffer: Buffer, start: number, end: number, maxBytes: number, max: number): string[] {
  const values: string[] = [];
  const portalEnd = stringEnd(buffer, start + HEADER_BYTES, end);
  const statementEnd = portalEnd < 0 ? -1 : stringEnd(buffer, portalEnd + 1, end);
  if (statementEnd < 0 || statementEnd + 3 > end) return values;
  let at = statementEnd + 3 + 2 * readUint16(buffer, statementEnd + 1);
  if (at + 2 > end) return values;
  let left = readUint16(buffer, at);
  at += 2;
  while (left-- > 0 && at + 4 <= end && values.length < max) {
    const bytes = readInt32(buffer, at);
    at += 4;
    if (bytes < 0) continue;
    if (at + bytes > end) break;
    if (bytes <= maxBytes) values.push(textOf(buffer, at, at + bytes));
    at += bytes;
  }
  return values;
}

/** What a Describe is about. */
export function decodeDescribe(buffer: Buffer, start: number, end: number): TargetFields {
  return targetFields(buffer, start, end, 'DESCRIBE');
}

/** What a Close is about. */
export function decodeClose(buffer: Buffer, start: number, end: number): TargetFields {
  return targetFields(buffer, start, end, 'CLOSE');
}

export interface ExecuteFields {
  readonly portal: string;
  /** 0 or less: all rows. */
  readonly maxRows: number;
}

export function decodeExecute(buffer: Buffer, start: number, end: number): ExecuteFields {
  const portalEnd = endOfString(buffer, start + HEADER_BYTES, end);
  const at = portalEnd + 1;
  if (at + 4 > end) throw insufficientData();
  if (at + 4 < end) throw invalidFormat();
  return { portal: textOf(buffer, start + HEADER_BYTES, portalEnd), maxRows: readInt32(buffer, at) };
}

/** A password in clear text or md5. Source: recv_password_packet in src/backend/libpq/auth.c. */
export function decodePassword(buffer: Buffer, start: number, end: number): string {
  const from = start + HEADER_BYTES;
  const passwordEnd = stringEnd(buffer, from, end);
  if (passwordEnd !== end - 1) throw new ProtocolError('protocol_violation', 'invalid password packet size');
  return textOf(buffer, from, passwordEnd);
}

export interface SaslInitialResponse {
  readonly mechanism: string;
  /** Borrowed from the message; null when the client sent none. */
  readonly dataSlice: Buffer | null;
}

/** Source: CheckSASLAuth in src/backend/libpq/auth-sasl.c. A client that errs here does not get further: always FATAL. */
export function decodeSaslInitialResponse(buffer: Buffer, start: number, end: number): SaslInitialResponse {
  const from = start + HEADER_BYTES;
  const mechanismEnd = stringEnd(buffer, from, end);
  if (mechanismEnd < 0) throw new ProtocolError('protocol_violation', 'invalid string in message');
  const at = mechanismEnd + 1;
  if (at + 4 > end) throw new ProtocolError('protocol_violation', 'insufficient data left in message');
  const claimed = readInt32(buffer, at);
  const present = end - (at + 4);
  const expected = claimed === -1 ? 0 : claimed;
  if (expected < 0 || expected > present) throw new ProtocolError('protocol_violation', 'insufficient data left in message');
  if (expected < present) throw new ProtocolError('protocol_violation', 'invalid message format');
  return {
    mechanism: textOf(buffer, from, mechanismEnd),
    dataSlice: claimed === -1 ? null : buffer.subarray(at + 4, end),
  };
}

/** The data of a SASLResponse: its whole body, borrowed from the message. */
export function decodeSaslResponse(buffer: Buffer, start: number, end: number): Buffer {
  return buffer.subarray(start + HEADER_BYTES, end);
}

/** Reason given with a CopyFail. */
export function decodeCopyFail(buffer: Buffer, start: number, end: number): string {
  return onlyString(buffer, start, end);
}

function onlyString(buffer: Buffer, start: number, end: number): string {
  const textEnd = endOfString(buffer, start + HEADER_BYTES, end);
  if (textEnd !== end - 1) throw invalidFormat();
  return textOf(buffer, start + HEADER_BYTES, textEnd);
}

function targetFields(buffer: Buffer, start: number, end: number, what: 'DESCRIBE' | 'CLOSE'): TargetFields {
  const at = start + HEADER_BYTES;
  if (at >= end) throw new ProtocolError('protocol_violation', 'no data left in message', 'ERROR');
  const nameEnd = endOfString(buffer, at + 1, end);
  if (nameEnd !== end - 1) throw invalidFormat();
  const subtype = byteAt(buffer, at);
  if (subtype !== TARGET.statement && subtype !== TARGET.portal) {
    throw new ProtocolError('protocol_violation', `invalid ${what} message subtype ${subtype}`, 'ERROR');
  }
  return { target: subtype === TARGET.statement ? 'statement' : 'portal', name: textOf(buffer, at + 1, nameEnd) };
}

function endOfString(buffer: Buffer, from: number, end: number): number {
  const found = stringEnd(buffer, from, end);
  if (found < 0) throw new ProtocolError('protocol_violation', 'invalid string in message', 'ERROR');
  return found;
}

function insufficientData(): ProtocolError {
  return new ProtocolError('protocol_violation', 'insufficient data left in message', 'ERROR');
}

function invalidFormat(): ProtocolError {
  return new ProtocolError('protocol_violation', 'invalid message format', 'ERROR');
}
