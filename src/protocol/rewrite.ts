import { allocateMessage, stringEnd, writeLength } from './bytes.ts';
import { FRONTEND, TARGET } from './codes.ts';
import { PQ_LARGE_MESSAGE_LIMIT } from './limits.ts';
import { ProtocolError } from './protocol-error.ts';

/**
 * Gives a Bind or a Parse another statement name without copying its body: `head` is sent in place of
 * `buffer[start, restStart)`; everything from `restStart` on, later pieces included, goes out as it came. A Describe or a
 * Close is nothing but its name and is replaced whole. Names here are bytes, kept ready by whoever renames.
 */
export interface Rewritten {
  readonly head: Buffer;
  readonly restStart: number;
}

/** The first piece of a message, as a framer has it: its names must end within `buffer[start, end)`. */
export interface Piece {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
  /** Bytes of the whole message with type byte and length field. */
  readonly length: number;
}

const HEADER_BYTES = 5;

/**
 * Binds the statement called `name` (without its zero) to the same portal.
 * @throws ProtocolError when a name does not end, or the message would be longer than PostgreSQL takes
 */
export function rewriteBind(piece: Piece, name: Buffer): Rewritten {
  const portalEnd = endOfName(piece, piece.start + HEADER_BYTES);
  return replaceName(piece, portalEnd + 1, name);
}

/**
 * Prepares the same text with the same parameter types as `name` (without its zero).
 * @throws ProtocolError when the name does not end, or the message would be longer than PostgreSQL takes
 */
export function rewriteParse(piece: Piece, name: Buffer): Rewritten {
  return replaceName(piece, piece.start + HEADER_BYTES, name);
}

/** Describes the statement called `name` (without its zero). */
export function encodeDescribeStatement(name: Buffer): Buffer {
  return statementMessage(FRONTEND.describe, name);
}

/** Closes the statement called `name` (without its zero). */
export function encodeCloseStatement(name: Buffer): Buffer {
  return statementMessage(FRONTEND.close, name);
}

function statementMessage(type: number, name: Buffer): Buffer {
  const message = allocateMessage(type, 1 + name.length + 1);
  message[5] = TARGET.statement;
  name.copy(message, 6);
  message[6 + name.length] = 0;
  return message;
}

function replaceName(piece: Piece, nameStart: number, name: Buffer): Rewritten {
  const nameEnd = endOfName(piece, nameStart);
  const length = piece.length - 1 - (nameEnd - nameStart) + name.length;
  if (length > PQ_LARGE_MESSAGE_LIMIT) throw new ProtocolError('message_too_large', 'invalid message length', 'ERROR');
  const kept = nameStart - piece.start;
  const head = Buffer.allocUnsafe(kept + name.length + 1);
  piece.buffer.copy(head, 0, piece.start, nameStart);
  writeLength(head, 1, length);
  name.copy(head, kept);
  head[kept + name.length] = 0;
  return { head, restStart: nameEnd + 1 };
}

function endOfName(piece: Piece, from: number): number {
  const end = stringEnd(piece.buffer, from, piece.end);
  if (end < 0) throw new ProtocolError('protocol_violation', 'invalid string in message', 'ERROR');
  return end;
}
