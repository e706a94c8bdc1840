import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Framer } from '../../src/protocol/framer.ts';
import { type FramerRules, wholeMessages } from '../../src/protocol/limits.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { byteByByte, cutAt, cutsWithin } from './cuts.ts';

/** A reader of one message, as the protocol floor has them. */
export type Decoder<T> = (buffer: Buffer, start: number, end: number) => T;

/** Reads `bytes` where it lies between foreign bytes: a reader that looks too far finds something to trip over. */
export function decodeAmid<T>(decode: Decoder<T>, bytes: Buffer, around: number): T {
  const amid = Buffer.concat([Buffer.alloc(9, around), bytes, Buffer.alloc(300, around)]);
  return decode(amid, 9, 9 + bytes.length);
}

/**
 * Declares the tests of one message: whole, amid other bytes, byte by byte, at random cuts, and with its body cut short at
 * every byte while the header tells the truth, where only ProtocolError may come out (or, for a reader that is content with
 * a beginning, an answer).
 */
export function testCodec<T>(name: string, rules: FramerRules, bytes: Buffer, decode: Decoder<T>, expected: T): void {
  test(`${name}: whole, byte by byte, and at random cuts`, () => {
    expect(bytes.readUInt32BE(1)).toBe(bytes.length - 1);
    expect(decode(bytes, 0, bytes.length)).toEqual(expected);
    for (const around of [0x00, 0x41, 0xff]) expect(decodeAmid(decode, bytes, around)).toEqual(expected);
    expect(decodeChunks(rules, byteByByte(bytes), decode)).toEqual([expected]);
    fc.assert(
      fc.property(cutsWithin(2 * bytes.length), (cuts) => {
        expect(decodeChunks(rules, cutAt(Buffer.concat([bytes, bytes]), cuts), decode)).toEqual([expected, expected]);
      }),
      { numRuns: 30 },
    );
  });

  test(`${name}: cut short, with bytes added, with any byte changed`, () => {
    for (let end = 5; end < bytes.length; end++) onlyProtocolErrors(decode, withTrueLength(bytes.subarray(0, end)));
    onlyProtocolErrors(decode, withTrueLength(Buffer.concat([bytes, Buffer.of(0)])));
    for (let at = 5; at < bytes.length; at++) {
      for (const value of [0x00, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        onlyProtocolErrors(decode, changed);
      }
    }
  });
}

/** Proves that a reader gives the same answer whatever surrounds its message, and throws nothing but ProtocolError. */
export function onlyProtocolErrors<T>(decode: Decoder<T>, bytes: Buffer): void {
  const outcomes = [0x00, 0x41, 0xff].map((around) => {
    try {
      return { answer: decodeAmid(decode, bytes, around) };
    } catch (error) {
      expect(error).toBeInstanceOf(ProtocolError);
      return { refusal: error instanceof ProtocolError ? error.message : '' };
    }
  });
  expect(outcomes[1]).toEqual(outcomes[0]);
  expect(outcomes[2]).toEqual(outcomes[0]);
}

/** The same message with the length it really has. */
export function withTrueLength(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(copy.length - 1, 1);
  return copy;
}

/** The refusal that reading `bytes` ends in. */
export function refusalOf<T>(decode: Decoder<T>, bytes: Buffer): ProtocolError {
  try {
    decode(bytes, 0, bytes.length);
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

function decodeChunks<T>(rules: FramerRules, chunks: readonly Buffer[], decode: Decoder<T>): T[] {
  const framer = new Framer(wholeMessages(rules));
  const answers: T[] = [];
  for (const chunk of chunks) {
    framer.push(Buffer.from(chunk));
    while (framer.next()) answers.push(decode(framer.buffer, framer.start, framer.end));
  }
  return answers;
}
