import { assert } from '../util/assert.ts';
import { PQ_LARGE_MESSAGE_LIMIT } from './limits.ts';

/**
 * Reading and writing the few shapes the protocol is made of. Indexed bytes instead of `readInt32BE` and friends: these
 * run for every message, and callers have already proven that the bytes exist.
 */

/** The byte at `at`, which the caller knows to exist. */
export function byteAt(buffer: Buffer, at: number): number {
  return buffer[at] as number;
}

/** Big-endian uint16 at `at`. */
export function readUint16(buffer: Buffer, at: number): number {
  return (byteAt(buffer, at) << 8) | byteAt(buffer, at + 1);
}

/** Big-endian int32 at `at`, signed. */
export function readInt32(buffer: Buffer, at: number): number {
  return (byteAt(buffer, at) << 24) | (byteAt(buffer, at + 1) << 16) | (byteAt(buffer, at + 2) << 8) | byteAt(buffer, at + 3);
}

/** Big-endian uint32 at `at`: a length of 2^31 and more stays large instead of turning negative. */
export function readUint32(buffer: Buffer, at: number): number {
  return readInt32(buffer, at) >>> 0;
}

/** Index of the zero byte that ends the string beginning at `from`, or -1 when there is none before `end`. */
export function stringEnd(buffer: Buffer, from: number, end: number): number {
  // Names are short: a loop beats the call into native code up to some tens of bytes.
  const near = Math.min(end, from + 48);
  for (let at = from; at < near; at++) {
    if (byteAt(buffer, at) === 0) return at;
  }
  if (near >= end) return -1;
  const found = buffer.indexOf(0, near);
  return found >= 0 && found < end ? found : -1;
}

/** Bytes `from` to `to` with one character for each byte. */
export function textOf(buffer: Buffer, from: number, to: number): string {
  return from === to ? '' : buffer.toString('latin1', from, to);
}

/**
 * Writes a message's length field. The only place in pgweir where one is written: a length that wraps would let the rest
 * of a body be read as messages (CVE-2024-27304 and its kin), so anything out of PostgreSQL's own bounds is a bug here.
 */
export function writeLength(buffer: Buffer, at: number, length: number): void {
  assert(
    Number.isSafeInteger(length) && length >= 4 && length <= PQ_LARGE_MESSAGE_LIMIT,
    `length ${length} of a message is out of bounds`,
  );
  writeInt32(buffer, at, length);
}

export function writeInt32(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value >>> 24;
  buffer[at + 1] = value >>> 16;
  buffer[at + 2] = value >>> 8;
  buffer[at + 3] = value;
}

export function writeInt16(buffer: Buffer, at: number, value: number): void {
  buffer[at] = value >>> 8;
  buffer[at + 1] = value;
}

/** Writes `text` (one byte for each character) and the zero that ends it. Returns the index behind it. */
export function writeString(buffer: Buffer, at: number, text: string): number {
  const end = at + text.length;
  if (text.length > 0) {
    assert(!BEYOND_ONE_BYTE.test(text), 'a string for the wire holds a zero or a character beyond one byte');
    buffer.write(text, at, 'latin1');
  }
  buffer[end] = 0;
  return end + 1;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: a zero byte inside a string would end it early for the reader.
const BEYOND_ONE_BYTE = /[\u0000\u0100-\uffff]/;

/** A new message of `type` with room for `bodyBytes` behind its header at index 5. */
export function allocateMessage(type: number, bodyBytes: number): Buffer {
  const message = Buffer.allocUnsafe(5 + bodyBytes);
  message[0] = type;
  writeLength(message, 1, 4 + bodyBytes);
  return message;
}

/** A new packet without a type byte, with room for `bodyBytes` behind its length field at index 4. */
export function allocateStartup(bodyBytes: number): Buffer {
  const packet = Buffer.allocUnsafe(4 + bodyBytes);
  writeLength(packet, 0, 4 + bodyBytes);
  return packet;
}
