import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocateMessage, writeLength, writeString } from '../../../src/protocol/bytes.ts';
import { FRONTEND } from '../../../src/protocol/codes.ts';
import { Framer } from '../../../src/protocol/framer.ts';
import { decodeBindNames, decodeParse } from '../../../src/protocol/frontend-decoders.ts';
import { encodeClose, encodeDescribe, encodeParse } from '../../../src/protocol/frontend-encoders.ts';
import { clientRules } from '../../../src/protocol/limits.ts';
import { ProtocolError } from '../../../src/protocol/protocol-error.ts';
import {
  encodeCloseStatement,
  encodeDescribeStatement,
  type Piece,
  rewriteBind,
  rewriteParse,
} from '../../../src/protocol/rewrite.ts';
import { cutAt, cutsWithin } from '../../support/cuts.ts';

const name = fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 100 });

/** A Bind with everything in it. */
function bind(portal: string, statement: string, formats: readonly number[], values: readonly (Buffer | null)[]): Buffer {
  const int16 = (value: number) => Buffer.of(value >> 8, value & 0xff);
  const int32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const tail = Buffer.concat([
    int16(formats.length),
    ...formats.map(int16),
    int16(values.length),
    ...values.flatMap((value) => (value === null ? [int32(-1)] : [int32(value.length), value])),
    int16(1),
    int16(1),
  ]);
  const message = allocateMessage(FRONTEND.bind, portal.length + statement.length + 2 + tail.length);
  tail.copy(message, writeString(message, writeString(message, 5, portal), statement));
  return message;
}

function wholePiece(buffer: Buffer): Piece {
  return { buffer, start: 0, end: buffer.length, length: buffer.length };
}

describe('a rewritten message (T-REWRITE-LEN, T-BIND-PORTAL)', () => {
  const values = fc.array(fc.option(fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes))), { maxLength: 6 });
  const formats = fc.array(fc.constantFrom(0, 1), { maxLength: 6 });

  test('Bind: is the Bind that a client with the new name would have sent', () => {
    fc.assert(
      fc.property(name, name, name, formats, values, (portal, statement, renamed, formats, values) => {
        const before = bind(portal, statement, formats, values);
        const { head, restStart } = rewriteBind(wholePiece(before), Buffer.from(renamed, 'latin1'));
        const after = Buffer.concat([head, before.subarray(restStart)]);
        expect(after.equals(bind(portal, renamed, formats, values))).toBe(true);
        expect(decodeBindNames(after, 0, after.length)).toEqual({ portal, statement: renamed });
      }),
    );
  });

  test('Parse: is the Parse that a client with the new name would have sent', () => {
    const types = fc.array(fc.nat(0x7fff_ffff), { maxLength: 5 });
    fc.assert(
      fc.property(name, name, name, types, (statement, text, renamed, types) => {
        const before = encodeParse(statement, text, types);
        const { head, restStart } = rewriteParse(wholePiece(before), Buffer.from(renamed, 'latin1'));
        const after = Buffer.concat([head, before.subarray(restStart)]);
        expect(after.equals(encodeParse(renamed, text, types))).toBe(true);
        expect(decodeParse(after, 0, after.length).name).toBe(renamed);
      }),
    );
  });

  test('Describe, Close: are those that a client with the new name would have sent', () => {
    fc.assert(
      fc.property(name, (renamed) => {
        const bytes = Buffer.from(renamed, 'latin1');
        expect(encodeDescribeStatement(bytes).equals(encodeDescribe('statement', renamed))).toBe(true);
        expect(encodeCloseStatement(bytes).equals(encodeClose('statement', renamed))).toBe(true);
      }),
    );
  });

  test('is right when only its first piece has come, and amid other messages', () => {
    const value = Buffer.alloc(20_000, 0x61);
    const stream = Buffer.concat([encodeParse('a', 'x'), bind('portal', 'statement', [1], [value, null]), encodeParse('b', 'y')]);
    const expected = Buffer.concat([encodeParse('a', 'x'), bind('portal', 'other', [1], [value, null]), encodeParse('b', 'y')]);
    fc.assert(
      fc.property(cutsWithin(stream.length), (cuts) => {
        const framer = new Framer(clientRules(1_000));
        const sent: Buffer[] = [];
        for (const chunk of cutAt(stream, cuts)) {
          framer.push(chunk);
          while (framer.next()) {
            let from = framer.start;
            if (framer.first && framer.type === FRONTEND.bind) {
              const { head, restStart } = rewriteBind(framer, Buffer.from('other'));
              sent.push(head);
              from = restStart;
            }
            sent.push(framer.buffer.subarray(from, framer.end));
          }
        }
        expect(Buffer.concat(sent).equals(expected)).toBe(true);
      }),
    );
  });

  test('names that do not end in the piece are refused, whatever lies behind it', () => {
    const message = bind('p', 'statement', [], []);
    for (const end of [6, 7, 12]) {
      expect(() => rewriteBind({ buffer: message, start: 0, end, length: message.length }, Buffer.from('s'))).toThrow(
        ProtocolError,
      );
    }
    expect(() => rewriteParse({ buffer: encodeParse('name', ''), start: 0, end: 8, length: 20 }, Buffer.from('s'))).toThrow(
      ProtocolError,
    );
  });

  test('that would be longer than PostgreSQL takes is refused, not wrapped', () => {
    const message = bind('', 's', [], []);
    const longest = { buffer: message, start: 0, end: message.length, length: 0x3fff_fffe + 1 };
    expect(rewriteBind(longest, Buffer.from('t')).head.readUInt32BE(1)).toBe(0x3fff_fffe);
    expect(() => rewriteBind(longest, Buffer.from('tt'))).toThrow(ProtocolError);
    expect(() => rewriteBind({ ...longest, length: 2 ** 32 + 10 }, Buffer.from('t'))).toThrow(ProtocolError);
  });
});

describe('the one writer of lengths (T-4G)', () => {
  test.each([-1, 0, 3, 0x3fff_ffff, 2 ** 31, 2 ** 32, 2 ** 32 + 4, 4.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'refuses %d',
    (length) => {
      expect(() => writeLength(Buffer.alloc(8), 1, length)).toThrow('out of bounds');
    },
  );

  test.each([4, 0x3fff_fffe])('writes %d', (length) => {
    const bytes = Buffer.alloc(8);
    writeLength(bytes, 1, length);
    expect(bytes.readUInt32BE(1)).toBe(length);
  });
});
