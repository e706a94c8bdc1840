import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BACKEND, FRONTEND } from '../../../src/protocol/codes.ts';
import { Framer } from '../../../src/protocol/framer.ts';
import { BACKEND_RULES, CLIENT_LOGIN_RULES, clientRules, type FramerRules, wholeMessages } from '../../../src/protocol/limits.ts';
import { ProtocolError } from '../../../src/protocol/protocol-error.ts';
import { byteByByte, cutAt, cutsWithin, joinPieces, runChunks } from '../../support/cuts.ts';

const CLIENT_RULES = clientRules(1_000);

/** A message of any type and body, true to its length. */
function message(type: number, body: Uint8Array | string = ''): Buffer {
  const bytes = Buffer.from(body);
  const header = Buffer.alloc(5);
  header[0] = type;
  header.writeUInt32BE(bytes.length + 4, 1);
  return Buffer.concat([header, bytes]);
}

/** Only a header, which may lie. */
function header(type: number, length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes[0] = type;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

function allowedTypes(rules: FramerRules): number[] {
  return [...rules.maxLength.keys()].filter((type) => rules.maxLength[type] !== 0);
}

function messagesUnder(rules: FramerRules): fc.Arbitrary<Buffer[]> {
  const body = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 200, maxLength: 6_000 }));
  const one = fc.tuple(fc.constantFrom(...allowedTypes(rules)), body);
  return fc.array(
    one.map(([type, bytes]) => message(type, bytes.subarray(0, (rules.maxLength[type] ?? 0) - 4))),
    { maxLength: 12 },
  );
}

function refusal(framer: Framer): ProtocolError {
  try {
    framer.next();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error('the framer refused nothing');
}

describe('pieces', () => {
  test('a message that is whole in its chunk is one piece', () => {
    expect(runChunks(new Framer(CLIENT_RULES), [message(FRONTEND.query, 'select 1\0')])).toEqual([
      { type: FRONTEND.query, length: 14, bytes: message(FRONTEND.query, 'select 1\0'), first: true, last: true },
    ]);
  });

  test('whole messages of one chunk lie next to each other in the chunk itself', () => {
    const chunk = Buffer.concat([
      message(BACKEND.dataRow, 'aa'),
      message(BACKEND.dataRow, ''),
      message(BACKEND.readyForQuery, 'I'),
    ]);
    const framer = new Framer(BACKEND_RULES);
    framer.push(chunk);
    let end = 0;
    while (framer.next()) {
      expect(framer.buffer).toBe(chunk);
      expect(framer.start).toBe(end);
      end = framer.end;
    }
    expect(end).toBe(chunk.length);
  });

  test('a long message passes in the pieces it came in, and only its header is ever copied', () => {
    const framer = new Framer(BACKEND_RULES);
    const bytes = message(BACKEND.dataRow, Buffer.alloc(100_000, 1));
    const given = runChunks(framer, [bytes.subarray(0, 3), bytes.subarray(3, 50_000), bytes.subarray(50_000)]);
    expect(given.map(({ bytes, first, last }) => [bytes.length, first, last])).toEqual([
      [5, true, false],
      [49_995, false, false],
      [50_005, false, true],
    ]);
  });

  test('the first piece of a message waits for as many bytes as the rules want', () => {
    const bytes = message(FRONTEND.query, Buffer.alloc(5_000, 0x20));
    const given = runChunks(new Framer(CLIENT_RULES), cutAt(bytes, [999, 2_000]));
    expect(given.map((piece) => piece.bytes.length)).toEqual([1_000, 1_000, 3_005]);
    const enough = runChunks(new Framer(CLIENT_RULES), cutAt(bytes, [1_001]));
    expect(enough.map((piece) => piece.bytes.length)).toEqual([1_001, 4_004]);
  });

  test('a message shorter than what the rules want is whole', () => {
    const bytes = message(FRONTEND.query, 'select 1\0');
    expect(runChunks(new Framer(CLIENT_RULES), byteByByte(bytes))).toMatchObject([{ bytes, first: true, last: true }]);
  });

  test('a piece that was carried is not touched again', () => {
    const framer = new Framer(CLIENT_RULES);
    const kept: Buffer[] = [];
    for (const text of ['first', 'second']) {
      for (const chunk of cutAt(message(FRONTEND.query, `${text}\0`), [4, 8])) {
        framer.push(chunk);
        while (framer.next()) kept.push(framer.buffer.subarray(framer.start, framer.end));
      }
    }
    expect(kept).toEqual([message(FRONTEND.query, 'first\0'), message(FRONTEND.query, 'second\0')]);
  });

  test('a chunk pushed before the one before it was read is read after it', () => {
    const framer = new Framer(BACKEND_RULES);
    framer.push(message(BACKEND.dataRow, 'aa'));
    framer.push(message(BACKEND.readyForQuery, 'I'));
    const types: number[] = [];
    while (framer.next()) types.push(framer.type);
    expect(types).toEqual([BACKEND.dataRow, BACKEND.readyForQuery]);
  });

  test('an idle framer holds on to no chunk', () => {
    const framer = new Framer(BACKEND_RULES);
    runChunks(framer, [message(BACKEND.dataRow, Buffer.alloc(60_000))]);
    expect(framer.buffer.length).toBe(0);
    expect(framer.takeRemainder().length).toBe(0);
  });

  test('an empty chunk changes nothing', () => {
    const framer = new Framer(BACKEND_RULES);
    const bytes = message(BACKEND.dataRow, 'abc');
    const given = runChunks(framer, [
      Buffer.alloc(0),
      bytes.subarray(0, 2),
      Buffer.alloc(0),
      bytes.subarray(2, 6),
      Buffer.alloc(0),
      bytes.subarray(6),
    ]);
    expect(joinPieces(given)).toEqual([bytes]);
  });

  test.each([
    ['a client', CLIENT_RULES],
    ['a client that logs in', CLIENT_LOGIN_RULES],
    ['a backend', BACKEND_RULES],
    ['a backend, every message whole', wholeMessages(BACKEND_RULES)],
  ])('cut anywhere, the messages of %s come out as they went in, with the heads the rules want', (_name, rules) => {
    fc.assert(
      fc.property(
        messagesUnder(rules).chain((messages) =>
          fc.tuple(fc.constant(messages), cutsWithin(messages.reduce((sum, one) => sum + one.length, 0))),
        ),
        ([messages, cuts]) => {
          const framer = new Framer(rules);
          const given = runChunks(framer, cutAt(Buffer.concat(messages), cuts));
          expect(Buffer.concat(joinPieces(given)).equals(Buffer.concat(messages))).toBe(true);
          expect(joinPieces(given).map((one) => one.length)).toEqual(messages.map((one) => one.length));
          for (const piece of given) {
            if (!piece.first) continue;
            expect(piece.bytes.length).toBeGreaterThanOrEqual(Math.min(piece.length, rules.headBytes[piece.type] ?? 5));
          }
          expect(given.filter((piece) => piece.last).length).toBe(messages.length);
          expect(framer.insideMessage).toBe(false);
        },
      ),
    );
  });

  test('byte by byte, every message is handed out no later than its last byte', () => {
    fc.assert(
      fc.property(messagesUnder(CLIENT_RULES), (messages) => {
        const framer = new Framer(CLIENT_RULES);
        for (const one of messages) {
          const given = runChunks(framer, byteByByte(one));
          expect(given.at(-1)?.last).toBe(true);
          expect(framer.pending).toBe(0);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('handing over', () => {
  test('the remainder is every byte that was pushed and not handed out', () => {
    fc.assert(
      fc.property(messagesUnder(BACKEND_RULES), fc.nat(20), cutsWithin(4_000), (messages, reads, cuts) => {
        const stream = Buffer.concat(messages);
        const framer = new Framer(BACKEND_RULES);
        const given: Buffer[] = [];
        for (const chunk of cutAt(stream, cuts)) framer.push(chunk);
        for (let read = 0; read < reads && framer.next(); read++)
          given.push(Buffer.from(framer.buffer.subarray(framer.start, framer.end)));
        const pending = framer.pending;
        const remainder = framer.takeRemainder();
        expect(remainder.length).toBe(pending);
        expect(Buffer.concat([...given, remainder]).equals(stream)).toBe(true);
        expect(framer.pending).toBe(0);
        expect(framer.next()).toBe(false);
      }),
    );
  });

  test('the remainder has the beginning that was carried', () => {
    const framer = new Framer(CLIENT_RULES);
    const bytes = message(FRONTEND.query, 'select 1\0');
    framer.push(bytes.subarray(0, 7));
    expect(framer.next()).toBe(false);
    framer.push(bytes.subarray(7, 9));
    expect(framer.pending).toBe(9);
    expect(framer.takeRemainder()).toEqual(bytes.subarray(0, 9));
  });

  test('rules may change between messages of one chunk', () => {
    const framer = new Framer(CLIENT_LOGIN_RULES);
    framer.push(Buffer.concat([message(FRONTEND.password, 'x\0'), message(FRONTEND.query, 'select 1\0')]));
    expect(framer.next()).toBe(true);
    framer.useRules(CLIENT_RULES);
    expect(framer.next()).toBe(true);
    expect(framer.type).toBe(FRONTEND.query);
  });

  test('a stream that ends inside a message can be told from one that does not', () => {
    const framer = new Framer(BACKEND_RULES);
    const bytes = message(BACKEND.dataRow, 'abcdef');
    for (const [index, chunk] of byteByByte(bytes).entries()) {
      runChunks(framer, [chunk]);
      expect(framer.insideMessage).toBe(index < bytes.length - 1);
    }
  });
});

describe('refusals (T-LEN, T-LIMITS)', () => {
  const directions = [
    ['client', CLIENT_RULES, message(FRONTEND.sync)],
    ['client that logs in', CLIENT_LOGIN_RULES, message(FRONTEND.password, 'x\0')],
    ['backend', BACKEND_RULES, message(BACKEND.readyForQuery, 'I')],
  ] as const;

  for (const [sender, rules, before] of directions) {
    const absurd = allowedTypes(rules).flatMap((type) => {
      const limit = rules.maxLength[type] ?? 0;
      return [0, 1, 2, 3, limit + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map((length) => [type, length] as const);
    });

    test(`no length out of bounds from a ${sender} is let through, wherever the stream is cut`, () => {
      for (const [type, length] of absurd) {
        const stream = Buffer.concat([before, header(type, length), Buffer.alloc(3)]);
        for (let cut = 0; cut < stream.length; cut++) {
          const framer = new Framer(rules);
          const given: Buffer[] = [];
          let refused: unknown = null;
          try {
            for (const chunk of cutAt(stream, [cut])) {
              framer.push(chunk);
              while (framer.next()) given.push(Buffer.from(framer.buffer.subarray(framer.start, framer.end)));
            }
          } catch (error) {
            refused = error;
          }
          expect(refused, `type ${type}, length ${length}, cut at ${cut}`).toBeInstanceOf(ProtocolError);
          expect(Buffer.concat(given).equals(before)).toBe(true);
        }
      }
    });

    test(`the largest length of each type from a ${sender} is let through`, () => {
      for (const type of allowedTypes(rules)) {
        const framer = new Framer(rules);
        framer.push(header(type, rules.maxLength[type] ?? 0));
        expect(() => framer.next()).not.toThrow();
        framer.push(header(type, rules.maxLength[type] ?? 0));
        expect(() => framer.next()).not.toThrow();
      }
    });

    test(`every type that a ${sender} may not send is refused at its first byte`, () => {
      for (let type = 0; type < 256; type++) {
        if (rules.maxLength[type] !== 0) continue;
        const framer = new Framer(rules);
        framer.push(Buffer.of(type));
        expect(refusal(framer).message).toBe(`${rules.refusal}${type}`);
      }
    });
  }

  test('a refusal stands: the framer never gets past it', () => {
    const framer = new Framer(CLIENT_RULES);
    framer.push(header(FRONTEND.query, 3));
    expect(refusal(framer).message).toBe('invalid message length');
    framer.push(message(FRONTEND.sync));
    expect(refusal(framer).message).toBe('invalid message length');
  });

  test('refusals are worded and classed as PostgreSQL does', () => {
    const cases: [FramerRules, Buffer, ProtocolError['kind'], string][] = [
      [CLIENT_RULES, header(0x5a, 4), 'protocol_violation', 'invalid frontend message type 90'],
      [CLIENT_RULES, header(FRONTEND.password, 4), 'protocol_violation', 'invalid frontend message type 112'],
      [CLIENT_RULES, header(FRONTEND.query, 3), 'protocol_violation', 'invalid message length'],
      [CLIENT_RULES, header(FRONTEND.query, 0x3fff_ffff), 'message_too_large', 'invalid message length'],
      [CLIENT_RULES, header(FRONTEND.sync, 10_001), 'message_too_large', 'invalid message length'],
      [CLIENT_LOGIN_RULES, header(FRONTEND.query, 4), 'protocol_violation', 'expected password response, got message type 81'],
      [CLIENT_LOGIN_RULES, header(FRONTEND.password, 65_536), 'message_too_large', 'invalid message length'],
      [BACKEND_RULES, header(BACKEND.dataRow, 0x8000_0000), 'backend_protocol_violation', 'invalid message length'],
      [BACKEND_RULES, header(FRONTEND.query, 4), 'backend_protocol_violation', 'unexpected backend message type 81'],
    ];
    for (const [rules, bytes, kind, text] of cases) {
      const framer = new Framer(rules);
      framer.push(bytes);
      const error = refusal(framer);
      expect([error.kind, error.message, error.sqlstate, error.severity]).toEqual([kind, text, '08P01', expect.any(String)]);
    }
  });

  test('the limits are those of PostgreSQL', () => {
    const small = ['close', 'describe', 'execute', 'flush', 'sync', 'terminate', 'copyDone', 'copyFail'] as const;
    for (const name of small) expect(CLIENT_RULES.maxLength[FRONTEND[name]]).toBe(10_000);
    const large = ['query', 'parse', 'bind', 'functionCall', 'copyData'] as const;
    for (const name of large) expect(CLIENT_RULES.maxLength[FRONTEND[name]]).toBe(0x3fff_fffe);
    expect(allowedTypes(CLIENT_RULES).length).toBe(small.length + large.length);
  });

  test('a header that claims a gigabyte reserves no gigabyte', () => {
    const before = process.memoryUsage().arrayBuffers;
    const framers = Array.from({ length: 50 }, () => new Framer(clientRules(0x3fff_fffe)));
    for (const framer of framers) runChunks(framer, [header(FRONTEND.query, 0x3fff_fffe), Buffer.from('select')]);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
    expect(framers.every((framer) => framer.pending === 11)).toBe(true);
  });

  test('hostile bytes never make it throw anything but ProtocolError, nor hand out a byte that was not pushed', () => {
    const rules = fc.constantFrom(CLIENT_RULES, BACKEND_RULES);
    const plausible = fc.tuple(fc.constantFrom(...allowedTypes(BACKEND_RULES)), fc.nat(9), fc.uint8Array({ maxLength: 12 }));
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((garbage) => Buffer.from(garbage)),
      fc
        .array(plausible.map(([type, length, body]) => Buffer.concat([header(type, length), body])))
        .map((all) => Buffer.concat(all)),
    );
    fc.assert(
      fc.property(bytes, cutsWithin(300), rules, (stream, cuts, rules) => {
        const framer = new Framer(rules);
        const given: Buffer[] = [];
        try {
          for (const chunk of cutAt(stream, cuts)) {
            framer.push(chunk);
            while (framer.next()) given.push(Buffer.from(framer.buffer.subarray(framer.start, framer.end)));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
        const all = Buffer.concat(given);
        expect(all.equals(stream.subarray(0, all.length))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
