import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PROTOCOL_3_0, PROTOCOL_3_2, REQUEST } from '../../../src/protocol/codes.ts';
import { ProtocolError } from '../../../src/protocol/protocol-error.ts';
import {
  decodeStartupPacket,
  encodeCancelRequest,
  encodeStartup,
  SSL_REQUEST,
  type Startup,
  StartupFramer,
} from '../../../src/protocol/startup-messages.ts';
import { byteByByte, cutAt, cutsWithin } from '../../support/cuts.ts';

/** A packet of any code and body, true to its length. */
function packet(code: number, body: string | Buffer): Buffer {
  const bytes = Buffer.from(body as string, 'latin1');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + bytes.length, 0);
  head.writeUInt32BE(code, 4);
  return Buffer.concat([head, bytes]);
}

function startupOf(bytes: Buffer): Startup {
  const decoded = decodeStartupPacket(bytes);
  if (decoded.kind !== 'startup') throw new Error(`not a startup packet: ${decoded.kind}`);
  return decoded.startup;
}

function refusal(action: () => unknown): ProtocolError {
  try {
    action();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

function packetsFrom(chunks: readonly Buffer[]): { packets: Buffer[]; framer: StartupFramer } {
  const framer = new StartupFramer();
  const packets: Buffer[] = [];
  for (const chunk of chunks) {
    framer.push(chunk);
    for (let next = framer.next(); next !== null; next = framer.next()) packets.push(Buffer.from(next));
  }
  return { packets, framer };
}

const word = fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((byte) => String.fromCharCode(byte)), maxLength: 20 });
const name = word.filter((text) => text.length > 0);

describe('the startup packet', () => {
  test('has its version, parameters in order and protocol options', () => {
    const bytes = packet(0x0003_270f, 'user\0app\0_pq_.a\0on\0database\0shop\0_pq_.b\0\0\0');
    const startup = startupOf(bytes);
    expect([startup.major, startup.minor, startup.version]).toEqual([3, 9999, 0x0003_270f]);
    expect([...startup.parameters]).toEqual([
      ['user', 'app'],
      ['database', 'shop'],
    ]);
    expect(startup.protocolOptions).toEqual(['_pq_.a', '_pq_.b']);
  });

  test('of a parameter sent twice has the last value, in its place', () => {
    const startup = startupOf(packet(PROTOCOL_3_0, 'TimeZone\0UTC\0user\0app\0TimeZone\0Asia/Tokyo\0\0'));
    expect([...startup.parameters]).toEqual([
      ['user', 'app'],
      ['TimeZone', 'Asia/Tokyo'],
    ]);
  });

  test('keeps the bytes of any encoding', () => {
    const startup = startupOf(packet(PROTOCOL_3_0, `user\0${Buffer.from('ü', 'utf8').toString('latin1')}\0\0`));
    expect(startup.parameters.get('user')).toBe('\xc3\xbc');
  });

  test('may have an empty value and no parameters at all', () => {
    expect([...startupOf(packet(PROTOCOL_3_0, 'user\0\0\0')).parameters]).toEqual([['user', '']]);
    expect(startupOf(packet(PROTOCOL_3_0, '\0')).parameters.size).toBe(0);
  });

  test.each([
    ['no terminator', 'user\0app\0'],
    ['a name without a value', 'user\0'],
    ['a name that does not end', 'user'],
    ['a value that does not end', 'user\0app'],
    ['bytes behind the terminator', 'user\0app\0\0x'],
    ['another terminator', 'user\0app\0\0\0'],
    ['nothing at all', ''],
  ])('with %s is refused as PostgreSQL does', (_what, body) => {
    const error = refusal(() => decodeStartupPacket(packet(PROTOCOL_3_0, body)));
    expect(error.message).toBe('invalid startup packet layout: expected terminator as last byte');
    expect([error.sqlstate, error.severity]).toEqual(['08P01', 'FATAL']);
  });

  test.each([
    [0x0002_0000, '2.0'],
    [0x0004_0000, '4.0'],
    [0xffff_ffff, '65535.65535'],
    [0, '0.0'],
  ])('of version %i is refused as unsupported', (version, printed) => {
    const error = refusal(() => decodeStartupPacket(packet(version, 'user\0app\0\0')));
    expect(error.message).toBe(`unsupported frontend protocol ${printed}: server supports 3.0 to 3.2`);
    expect(error.sqlstate).toBe('0A000');
  });

  test('says what was encoded', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(PROTOCOL_3_0, PROTOCOL_3_2),
        fc.uniqueArray(fc.tuple(name, word), { selector: ([key]) => key }),
        (version, pairs) => {
          fc.pre(pairs.every(([key]) => !key.startsWith('_pq_.')));
          const startup = startupOf(encodeStartup(version, pairs));
          expect(startup.version).toBe(version);
          expect([...startup.parameters]).toEqual(pairs);
        },
      ),
    );
  });
});

describe('requests in place of a startup packet', () => {
  test('SSLRequest and GSSENCRequest are bare', () => {
    expect(decodeStartupPacket(SSL_REQUEST)).toEqual({ kind: 'ssl request' });
    expect(decodeStartupPacket(packet(REQUEST.gssEncryption, ''))).toEqual({ kind: 'gss encryption request' });
    for (const code of [REQUEST.ssl, REQUEST.gssEncryption]) {
      expect(refusal(() => decodeStartupPacket(packet(code, 'stuffed'))).message).toBe('invalid length of startup packet');
    }
  });

  test.each([4, 5, 32, 255, 256])('a CancelRequest may have a key of %i bytes', (bytes) => {
    const key = Buffer.alloc(bytes, 7);
    expect(decodeStartupPacket(encodeCancelRequest(-5, key))).toEqual({ kind: 'cancel request', processId: -5, key });
  });

  test.each([0, 3, 257])('a CancelRequest with a key of %i bytes is refused', (bytes) => {
    const error = refusal(() => decodeStartupPacket(packet(REQUEST.cancel, Buffer.alloc(4 + bytes))));
    expect(error.message).toBe('invalid length of cancel key in cancel request packet');
  });

  test('a CancelRequest without a process id is refused', () => {
    expect(refusal(() => decodeStartupPacket(packet(REQUEST.cancel, 'ab'))).sqlstate).toBe('08P01');
  });

  test("a cancel request's key outlives its packet", () => {
    const bytes = encodeCancelRequest(1, Buffer.from('secret'));
    const decoded = decodeStartupPacket(bytes);
    bytes.fill(0);
    expect(decoded).toMatchObject({ key: Buffer.from('secret') });
  });
});

describe('gathering startup packets', () => {
  const packets = [SSL_REQUEST, encodeStartup(PROTOCOL_3_2, [['user', 'app']]), encodeCancelRequest(7, Buffer.alloc(32, 1))];
  const behind = Buffer.from('p\0\0\0\x06x\0', 'latin1');

  test('packets come out whole, however the stream is cut', () => {
    const stream = Buffer.concat(packets);
    expect(packetsFrom([stream]).packets).toEqual(packets);
    expect(packetsFrom(byteByByte(stream)).packets).toEqual(packets);
    fc.assert(
      fc.property(cutsWithin(stream.length), (cuts) => {
        expect(packetsFrom(cutAt(stream, cuts)).packets).toEqual(packets);
      }),
    );
  });

  test('bytes behind a packet are counted and handed over', () => {
    const framer = new StartupFramer();
    framer.push(Buffer.concat([SSL_REQUEST, behind]));
    expect(framer.next()).toEqual(SSL_REQUEST);
    expect(framer.pending).toBe(behind.length);
    expect(framer.takeRemainder()).toEqual(behind);
    expect(framer.pending).toBe(0);
  });

  test.each([0, 3, 4, 7, 10_005, 65_536, 2 ** 31, 2 ** 32 - 1])('a length of %i is refused as soon as it is known', (length) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(length);
    for (let cut = 0; cut < 4; cut++) {
      const error = refusal(() => packetsFrom(cutAt(Buffer.concat([bytes, Buffer.alloc(cut)]), [cut])));
      expect(error.message).toBe('invalid length of startup packet');
    }
  });

  test('the longest packet PostgreSQL takes is taken', () => {
    const longest = encodeStartup(PROTOCOL_3_0, [['user', 'x'.repeat(10_000 - 4 - 7)]]);
    expect(longest.length).toBe(10_004);
    expect(packetsFrom([longest]).packets).toEqual([longest]);
  });

  test('what a client sends never makes it throw anything but ProtocolError', () => {
    const codes = fc.constantFrom(PROTOCOL_3_0, PROTOCOL_3_2, REQUEST.ssl, REQUEST.cancel, REQUEST.gssEncryption, 0x0003_ffff);
    const shaped = fc.tuple(codes, fc.uint8Array({ maxLength: 60 })).map(([code, body]) => packet(code, Buffer.from(body)));
    const bytes = fc.oneof(
      shaped,
      fc.uint8Array({ maxLength: 60 }).map((garbage) => Buffer.from(garbage)),
    );
    fc.assert(
      fc.property(bytes, (stream) => {
        try {
          for (const one of packetsFrom([stream]).packets) decodeStartupPacket(one);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
