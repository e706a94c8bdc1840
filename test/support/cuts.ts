import fc from 'fast-check';
import type { Framer } from '../../src/protocol/framer.ts';

/** What a framer handed out, copied. */
export interface GivenPiece {
  readonly type: number;
  readonly length: number;
  readonly bytes: Buffer;
  readonly first: boolean;
  readonly last: boolean;
}

/** Splits `bytes` at the given positions; those out of range or double make no difference. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const positions = [...new Set(cuts)].filter((cut) => cut > 0 && cut < bytes.length).sort((a, b) => a - b);
  return [0, ...positions].map((from, index) => bytes.subarray(from, positions[index]));
}

/** Splits `bytes` into single bytes. */
export function byteByByte(bytes: Buffer): Buffer[] {
  return [...bytes].map((byte) => Buffer.of(byte));
}

/** Positions to cut a stream of about `length` bytes at, with a liking for many near each other. */
export function cutsWithin(length: number): fc.Arbitrary<number[]> {
  return fc.array(fc.nat(Math.max(1, length)), { maxLength: 12 });
}

/**
 * Runs chunks through a framer as a socket with one reused read buffer would: each chunk is destroyed when the framer is
 * done with it. Pieces are copied when given.
 */
export function runChunks(framer: Framer, chunks: readonly Buffer[]): GivenPiece[] {
  const given: GivenPiece[] = [];
  for (const chunk of chunks) {
    const borrowed = Buffer.from(chunk);
    framer.push(borrowed);
    while (framer.next()) {
      const { type, length, buffer, start, end, first, last } = framer;
      given.push({ type, length, bytes: Buffer.from(buffer.subarray(start, end)), first, last });
    }
    borrowed.fill(0xaa);
  }
  return given;
}

/** Joins the pieces of each message; the last one may be incomplete. */
export function joinPieces(pieces: readonly GivenPiece[]): Buffer[] {
  const messages: Buffer[] = [];
  for (const piece of pieces) {
    const begun = piece.first ? undefined : messages.pop();
    messages.push(begun === undefined ? piece.bytes : Buffer.concat([begun, piece.bytes]));
  }
  return messages;
}
