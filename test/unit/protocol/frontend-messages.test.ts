import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FRONTEND } from '../../../src/protocol/codes.ts';
import {
  decodeBindNames,
  decodeClose,
  decodeCopyFail,
  decodeDescribe,
  decodeExecute,
  decodeParse,
  decodePassword,
  decodeQuery,
  decodeSaslInitialResponse,
  decodeSaslResponse,
} from '../../../src/protocol/frontend-decoders.ts';
import {
  COPY_DONE,
  encodeBind,
  encodeBoundRead,
  encodeClose,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodePassword,
  encodeQuery,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  FLUSH,
  SYNC,
  TERMINATE,
} from '../../../src/protocol/frontend-encoders.ts';
import { CLIENT_LOGIN_RULES, clientRules } from '../../../src/protocol/limits.ts';
import { type Decoder, onlyProtocolErrors, refusalOf, testCodec } from '../../support/codec-case.ts';
import { clientMessage } from '../../support/transcript.ts';

const RULES = clientRules(1_000);

/** A message of any type and body, true to its length. */
function message(type: number, ...parts: (string | readonly number[])[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));
  const header = Buffer.alloc(5);
  header[0] = type;
  header.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([header, body]);
}

function int32(value: number): readonly number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

describe('every message that is both written and read', () => {
  testCodec('Query', RULES, encodeQuery('select 1'), decodeQuery, 'select 1');
  testCodec('an empty Query', RULES, encodeQuery(''), decodeQuery, '');
  testCodec('a Query of any bytes', RULES, encodeQuery('\x01\x80\xff'), decodeQuery, '\x01\x80\xff');
  testCodec('a long Query', RULES, encodeQuery(`select '${'x'.repeat(300)}'`), decodeQuery, `select '${'x'.repeat(300)}'`);
  testCodec('Parse', RULES, encodeParse('s1', 'select $1', [23, 0]), decodeParse, {
    name: 's1',
    text: 'select $1',
    typesSlice: Buffer.of(0, 2, 0, 0, 0, 23, 0, 0, 0, 0),
  });
  testCodec('an unnamed Parse', RULES, encodeParse('', 'x'), decodeParse, { name: '', text: 'x', typesSlice: Buffer.of(0, 0) });
  testCodec('Bind', RULES, encodeBind('p', 's1'), decodeBindNames, { portal: 'p', statement: 's1' });
  testCodec('an unnamed Bind', RULES, encodeBind('', ''), decodeBindNames, { portal: '', statement: '' });
  testCodec('Describe of a statement', RULES, encodeDescribe('statement', 's1'), decodeDescribe, {
    target: 'statement',
    name: 's1',
  });
  testCodec('Describe of a portal', RULES, encodeDescribe('portal', ''), decodeDescribe, { target: 'portal', name: '' });
  testCodec('Close of a statement', RULES, encodeClose('statement', 's1'), decodeClose, { target: 'statement', name: 's1' });
  testCodec('Close of a portal', RULES, encodeClose('portal', 'p'), decodeClose, { target: 'portal', name: 'p' });
  testCodec('Execute', RULES, encodeExecute('p', 100), decodeExecute, { portal: 'p', maxRows: 100 });
  testCodec('Execute of all rows', RULES, encodeExecute(''), decodeExecute, { portal: '', maxRows: 0 });
  testCodec('CopyFail', RULES, encodeCopyFail('no more'), decodeCopyFail, 'no more');
  testCodec('PasswordMessage', CLIENT_LOGIN_RULES, encodePassword('secret'), decodePassword, 'secret');
  testCodec(
    'SASLInitialResponse',
    CLIENT_LOGIN_RULES,
    encodeSaslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,')),
    decodeSaslInitialResponse,
    {
      mechanism: 'SCRAM-SHA-256',
      dataSlice: Buffer.from('n,,'),
    },
  );
  testCodec(
    'SASLInitialResponse without data',
    CLIENT_LOGIN_RULES,
    encodeSaslInitialResponse('X', null),
    decodeSaslInitialResponse,
    {
      mechanism: 'X',
      dataSlice: null,
    },
  );
  testCodec(
    'SASLResponse',
    CLIENT_LOGIN_RULES,
    encodeSaslResponse(Buffer.from('c=biws')),
    decodeSaslResponse,
    Buffer.from('c=biws'),
  );
});

describe('bytes on the wire', () => {
  test('are those of the protocol page', () => {
    expect(encodeParse('s', 'q', [23])).toEqual(message(FRONTEND.parse, 's\0q\0', [0, 1], int32(23)));
    expect(encodeBind('p', 's')).toEqual(message(FRONTEND.bind, 'p\0s\0', [0, 0, 0, 0, 0, 0]));
    expect(encodeDescribe('statement', 's')).toEqual(message(FRONTEND.describe, 'Ss\0'));
    expect(encodeClose('portal', 'p')).toEqual(message(FRONTEND.close, 'Pp\0'));
    expect(encodeExecute('p', 7)).toEqual(message(FRONTEND.execute, 'p\0', int32(7)));
    expect(encodeSaslInitialResponse('M', Buffer.from('ab'))).toEqual(message(FRONTEND.password, 'M\0', int32(2), 'ab'));
    expect(encodeSaslInitialResponse('M', null)).toEqual(message(FRONTEND.password, 'M\0', int32(-1)));
    expect([SYNC, FLUSH, TERMINATE, COPY_DONE].map((bytes) => bytes.toString('latin1'))).toEqual(
      ['S', 'H', 'X', 'c'].map((type) => `${type}\0\0\0\x04`),
    );
  });

  test.each([
    ['a zero byte', 'a\0b'],
    ['a character beyond one byte', 'ā'],
  ])('never have %s inside a string', (_what, text) => {
    expect(() => encodeQuery(text)).toThrow('a string for the wire');
    expect(() => encodeParse(text, '')).toThrow('a string for the wire');
    expect(() => encodeParse('', text)).toThrow('a string for the wire');
    expect(() => encodeBind('', text)).toThrow('a string for the wire');
    expect(() => encodeDescribe('portal', text)).toThrow('a string for the wire');
    expect(() => encodePassword(text)).toThrow('a string for the wire');
  });
});

describe("a message that makes no sense gets PostgreSQL's answer, and the connection lives", () => {
  const cases: [string, Decoder<unknown>, Buffer, string][] = [
    ['a Query without its zero', decodeQuery, message(FRONTEND.query, 'select 1'), 'invalid string in message'],
    ['a Query with nothing in it', decodeQuery, message(FRONTEND.query), 'invalid string in message'],
    ['a Query with a zero inside', decodeQuery, message(FRONTEND.query, 'select\0 1\0'), 'invalid message format'],
    ['a Parse without a text', decodeParse, message(FRONTEND.parse, 's\0'), 'invalid string in message'],
    ['a Parse without its types', decodeParse, message(FRONTEND.parse, 's\0q\0'), 'insufficient data left in message'],
    [
      'a Parse with fewer types than it says',
      decodeParse,
      message(FRONTEND.parse, 's\0q\0', [0, 2], int32(23)),
      'insufficient data left in message',
    ],
    [
      'a Parse with 65535 types that are not there',
      decodeParse,
      message(FRONTEND.parse, 's\0q\0', [255, 255]),
      'insufficient data left in message',
    ],
    [
      'a Parse with more types than it says',
      decodeParse,
      message(FRONTEND.parse, 's\0q\0', [0, 0], int32(23)),
      'invalid message format',
    ],
    ['a Bind without a statement name', decodeBindNames, message(FRONTEND.bind, 'p\0s'), 'invalid string in message'],
    ['an empty Bind', decodeBindNames, message(FRONTEND.bind), 'invalid string in message'],
    ['a Describe of nothing', decodeDescribe, message(FRONTEND.describe), 'no data left in message'],
    ['a Describe of something else', decodeDescribe, message(FRONTEND.describe, 'Xs\0'), 'invalid DESCRIBE message subtype 88'],
    ['a Describe with more behind', decodeDescribe, message(FRONTEND.describe, 'Ss\0x'), 'invalid message format'],
    ['a Close of something else', decodeClose, message(FRONTEND.close, 'Xs\0'), 'invalid CLOSE message subtype 88'],
    ['a Close without its zero', decodeClose, message(FRONTEND.close, 'Ss'), 'invalid string in message'],
    [
      'an Execute without a limit',
      decodeExecute,
      message(FRONTEND.execute, 'p\0', [0, 0, 0]),
      'insufficient data left in message',
    ],
    ['an Execute with more behind', decodeExecute, message(FRONTEND.execute, 'p\0', int32(0), 'x'), 'invalid message format'],
  ];
  test.each(cases)('%s', (_what, decode, bytes, text) => {
    const error = refusalOf(decode, bytes);
    expect([error.message, error.severity, error.sqlstate]).toEqual([text, 'ERROR', '08P01']);
    onlyProtocolErrors(decode, bytes);
  });

  test('an Execute may ask for any number of rows, below zero too', () => {
    expect(decodeExecute(message(FRONTEND.execute, 'p\0', int32(-1)), 0, 11).maxRows).toBe(-1);
  });
});

describe('a login message that makes no sense ends the connection (T-INNER, T-SASL-LEN)', () => {
  const initial = (inner: number, data: string) => message(FRONTEND.password, 'SCRAM-SHA-256\0', int32(inner), data);
  const cases: [string, Decoder<unknown>, Buffer, string][] = [
    ['an inner length of -2', decodeSaslInitialResponse, initial(-2, 'n,,'), 'insufficient data left in message'],
    ['an inner length of -2^31', decodeSaslInitialResponse, initial(-(2 ** 31), 'n,,'), 'insufficient data left in message'],
    ['an inner length of 2^31-1', decodeSaslInitialResponse, initial(2 ** 31 - 1, 'n,,'), 'insufficient data left in message'],
    ['an inner length one too large', decodeSaslInitialResponse, initial(4, 'n,,'), 'insufficient data left in message'],
    ['an inner length one too small', decodeSaslInitialResponse, initial(2, 'n,,'), 'invalid message format'],
    ['no data and yet data', decodeSaslInitialResponse, initial(-1, 'n,,'), 'invalid message format'],
    ['a mechanism without its zero', decodeSaslInitialResponse, message(FRONTEND.password, 'SCRAM'), 'invalid string in message'],
    [
      'no inner length',
      decodeSaslInitialResponse,
      message(FRONTEND.password, 'S\0', [0, 0, 0]),
      'insufficient data left in message',
    ],
    ['nothing', decodeSaslInitialResponse, message(FRONTEND.password), 'invalid string in message'],
    ['a password without its zero', decodePassword, message(FRONTEND.password, 'secret'), 'invalid password packet size'],
    ['a password with a zero inside', decodePassword, message(FRONTEND.password, 'sec\0ret\0'), 'invalid password packet size'],
    ['no password at all', decodePassword, message(FRONTEND.password), 'invalid password packet size'],
  ];
  test.each(cases)('%s', (_what, decode, bytes, text) => {
    const error = refusalOf(decode, bytes);
    expect([error.message, error.severity, error.sqlstate]).toEqual([text, 'FATAL', '08P01']);
    onlyProtocolErrors(decode, bytes);
  });
});

test('no body makes a reader throw anything but ProtocolError, or look past its end', () => {
  const decoders: Decoder<unknown>[] = [
    decodeQuery,
    decodeParse,
    decodeBindNames,
    decodeDescribe,
    decodeClose,
    decodeExecute,
    decodePassword,
    decodeSaslInitialResponse,
    decodeSaslResponse,
    decodeCopyFail,
  ];
  const byte = fc.oneof(fc.constantFrom(0, 1, 0x50, 0x53, 0x7f, 0x80, 0xff), fc.nat(255));
  fc.assert(
    fc.property(fc.constantFrom(...decoders), fc.array(byte, { maxLength: 80 }), (decode, body) => {
      onlyProtocolErrors(decode, message(0x51, body));
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ['s1', []],
  ['s1', ['7']],
  ['a longer name', ['', "it's", '\xff\0', '7'.repeat(300)]],
])('a bound read of %j with %j is Bind, Describe, Execute and Sync', (name, values) => {
  const expected = [
    clientMessage('Bind', '', name, [], values, []),
    clientMessage('Describe', 'P', ''),
    clientMessage('Execute', '', 0),
    clientMessage('Sync'),
  ];
  expect(encodeBoundRead(Buffer.from(name, 'latin1'), values)).toEqual(Buffer.concat(expected));
});
