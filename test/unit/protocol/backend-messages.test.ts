import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeAuthentication,
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeDataRow,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../../../src/protocol/backend-decoders.ts';
import {
  AUTHENTICATION_CLEARTEXT_PASSWORD,
  AUTHENTICATION_OK,
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  COMMAND_COMPLETE,
  EMPTY_QUERY_RESPONSE,
  encodeAuthenticationMd5,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeBackendKeyData,
  encodeCommandComplete,
  encodeDataRow,
  encodeNegotiateProtocolVersion,
  encodeParameterDescription,
  encodeParameterStatus,
  encodeRowDescription,
  NO_DATA,
  PARSE_COMPLETE,
  READY_FOR_QUERY,
} from '../../../src/protocol/backend-encoders.ts';
import { BACKEND, PROTOCOL_3_2 } from '../../../src/protocol/codes.ts';
import { BACKEND_RULES } from '../../../src/protocol/limits.ts';
import { type Decoder, onlyProtocolErrors, refusalOf, testCodec } from '../../support/codec-case.ts';

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

const RULES = BACKEND_RULES;

describe('every message that is both written and read', () => {
  testCodec('AuthenticationOk', RULES, AUTHENTICATION_OK, decodeAuthentication, { kind: 'ok' });
  testCodec('AuthenticationCleartextPassword', RULES, AUTHENTICATION_CLEARTEXT_PASSWORD, decodeAuthentication, {
    kind: 'cleartext password',
  });
  testCodec('AuthenticationMD5Password', RULES, encodeAuthenticationMd5(Buffer.of(1, 2, 3, 0)), decodeAuthentication, {
    kind: 'md5 password',
    saltSlice: Buffer.of(1, 2, 3, 0),
  });
  testCodec(
    'AuthenticationSASL',
    RULES,
    encodeAuthenticationSasl(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']),
    decodeAuthentication,
    {
      kind: 'sasl',
      mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'],
    },
  );
  testCodec('AuthenticationSASL without mechanisms', RULES, encodeAuthenticationSasl([]), decodeAuthentication, {
    kind: 'sasl',
    mechanisms: [],
  });
  testCodec('AuthenticationSASLContinue', RULES, encodeAuthenticationSaslContinue(Buffer.from('r=x')), decodeAuthentication, {
    kind: 'sasl continue',
    dataSlice: Buffer.from('r=x'),
  });
  testCodec('AuthenticationSASLFinal', RULES, encodeAuthenticationSaslFinal(Buffer.from('v=x')), decodeAuthentication, {
    kind: 'sasl final',
    dataSlice: Buffer.from('v=x'),
  });
  testCodec('Authentication of a kind we do not do', RULES, message(BACKEND.authentication, int32(7)), decodeAuthentication, {
    kind: 'unsupported',
    code: 7,
  });
  testCodec(
    'NegotiateProtocolVersion',
    RULES,
    encodeNegotiateProtocolVersion(PROTOCOL_3_2, ['_pq_.a', '_pq_.b']),
    decodeNegotiateProtocolVersion,
    {
      version: PROTOCOL_3_2,
      unknownOptions: ['_pq_.a', '_pq_.b'],
    },
  );
  testCodec(
    'NegotiateProtocolVersion of the version alone',
    RULES,
    encodeNegotiateProtocolVersion(PROTOCOL_3_2, []),
    decodeNegotiateProtocolVersion,
    {
      version: PROTOCOL_3_2,
      unknownOptions: [],
    },
  );
  testCodec('ParameterStatus', RULES, encodeParameterStatus('TimeZone', 'UTC'), decodeParameterStatus, {
    name: 'TimeZone',
    value: 'UTC',
  });
  testCodec('ParameterStatus without a value', RULES, encodeParameterStatus('search_path', ''), decodeParameterStatus, {
    name: 'search_path',
    value: '',
  });
  for (const bytes of [4, 32, 256]) {
    testCodec(
      `BackendKeyData with ${bytes} bytes`,
      RULES,
      encodeBackendKeyData(-3, Buffer.alloc(bytes, 9)),
      decodeBackendKeyData,
      {
        processId: -3,
        key: Buffer.alloc(bytes, 9),
      },
    );
  }
  testCodec('ReadyForQuery I', RULES, READY_FOR_QUERY.idle, decodeReadyForQuery, 0x49);
  testCodec('ReadyForQuery T', RULES, READY_FOR_QUERY.inTransaction, decodeReadyForQuery, 0x54);
  testCodec('ReadyForQuery E', RULES, READY_FOR_QUERY.failed, decodeReadyForQuery, 0x45);
  testCodec(
    'ReadyForQuery of a later version',
    RULES,
    message(BACKEND.readyForQuery, 'T', int32(7), int32(9)),
    decodeReadyForQuery,
    0x54,
  );
  testCodec('CommandComplete', RULES, encodeCommandComplete('INSERT 0 1'), decodeCommandComplete, 'INSERT 0 1');
  testCodec('DataRow', RULES, encodeDataRow(['a', null, '', 'x'.repeat(300)]), decodeDataRow, ['a', null, '', 'x'.repeat(300)]);
  testCodec('DataRow without columns', RULES, encodeDataRow([]), decodeDataRow, []);
});

describe('bytes on the wire', () => {
  test('of messages without a body', () => {
    expect(
      [PARSE_COMPLETE, BIND_COMPLETE, CLOSE_COMPLETE, NO_DATA, EMPTY_QUERY_RESPONSE].map((bytes) => bytes.toString('latin1')),
    ).toEqual(['1', '2', '3', 'n', 'I'].map((type) => `${type}\0\0\0\x04`));
  });

  test('of descriptions', () => {
    expect(encodeParameterDescription([23, 25])).toEqual(message(BACKEND.parameterDescription, [0, 2], int32(23), int32(25)));
    expect(encodeRowDescription(['a'])).toEqual(
      message(BACKEND.rowDescription, [0, 1], 'a\0', int32(0), [0, 0], int32(25), [0xff, 0xff], int32(-1), [0, 0]),
    );
    expect(encodeRowDescription([])).toEqual(message(BACKEND.rowDescription, [0, 0]));
  });

  test.each([
    ['begin', 'BEGIN'],
    ['startTransaction', 'START TRANSACTION'],
    ['commit', 'COMMIT'],
    ['rollback', 'ROLLBACK'],
    ['set', 'SET'],
    ['reset', 'RESET'],
    ['show', 'SHOW'],
    ['deallocate', 'DEALLOCATE'],
    ['deallocateAll', 'DEALLOCATE ALL'],
    ['discardAll', 'DISCARD ALL'],
  ] as const)('of the tag %s', (name, tag) => {
    expect(COMMAND_COMPLETE[name]).toEqual(message(BACKEND.commandComplete, `${tag}\0`));
  });

  test('never have a key or a salt of a length nobody expects', () => {
    for (const bytes of [0, 3, 257]) expect(() => encodeBackendKeyData(1, Buffer.alloc(bytes))).toThrow('cancel key');
    expect(() => encodeAuthenticationMd5(Buffer.alloc(3))).toThrow('salt');
  });
});

describe('what no backend should send is refused (T-SRV-FUZZ, T-KEYLEN)', () => {
  const cases: [string, Decoder<unknown>, Buffer][] = [
    ['BackendKeyData without a key', decodeBackendKeyData, message(BACKEND.backendKeyData, int32(1))],
    ['BackendKeyData with 3 bytes', decodeBackendKeyData, message(BACKEND.backendKeyData, int32(1), 'abc')],
    ['BackendKeyData with 257 bytes', decodeBackendKeyData, message(BACKEND.backendKeyData, int32(1), 'x'.repeat(257))],
    ['BackendKeyData with nothing', decodeBackendKeyData, message(BACKEND.backendKeyData)],
    ['Authentication with nothing', decodeAuthentication, message(BACKEND.authentication, [0, 0, 0])],
    ['an md5 salt of 3 bytes', decodeAuthentication, message(BACKEND.authentication, int32(5), 'abc')],
    ['an md5 salt of 5 bytes', decodeAuthentication, message(BACKEND.authentication, int32(5), 'abcde')],
    ['a mechanism list without its zero', decodeAuthentication, message(BACKEND.authentication, int32(10), 'SCRAM\0')],
    ['a mechanism without its zero', decodeAuthentication, message(BACKEND.authentication, int32(10), 'SCRAM')],
    ['a mechanism list with more behind', decodeAuthentication, message(BACKEND.authentication, int32(10), 'SCRAM\0\0x')],
    ['no mechanism list', decodeAuthentication, message(BACKEND.authentication, int32(10))],
    ['negotiation without a count', decodeNegotiateProtocolVersion, message(BACKEND.negotiateProtocolVersion, int32(0x30000))],
    [
      'negotiation with fewer options',
      decodeNegotiateProtocolVersion,
      message(BACKEND.negotiateProtocolVersion, int32(0x30000), int32(2), 'a\0'),
    ],
    [
      'negotiation with more options',
      decodeNegotiateProtocolVersion,
      message(BACKEND.negotiateProtocolVersion, int32(0x30000), int32(0), 'a\0'),
    ],
    [
      'negotiation with 2^31-1 options',
      decodeNegotiateProtocolVersion,
      message(BACKEND.negotiateProtocolVersion, int32(0x30000), int32(2 ** 31 - 1), 'a\0'),
    ],
    [
      'negotiation with -1 options',
      decodeNegotiateProtocolVersion,
      message(BACKEND.negotiateProtocolVersion, int32(0x30000), int32(-1)),
    ],
    ['ParameterStatus without a value', decodeParameterStatus, message(BACKEND.parameterStatus, 'name\0')],
    ['ParameterStatus without zeros', decodeParameterStatus, message(BACKEND.parameterStatus, 'name')],
    ['ParameterStatus with more behind', decodeParameterStatus, message(BACKEND.parameterStatus, 'name\0value\0x')],
    ['ReadyForQuery without a status', decodeReadyForQuery, message(BACKEND.readyForQuery)],
    ['ReadyForQuery of a fourth status', decodeReadyForQuery, message(BACKEND.readyForQuery, 'X')],
    ['CommandComplete without its zero', decodeCommandComplete, message(BACKEND.commandComplete, 'SELECT 1')],
    ['CommandComplete with more behind', decodeCommandComplete, message(BACKEND.commandComplete, 'SELECT 1\0x')],
    ['DataRow with nothing', decodeDataRow, message(BACKEND.dataRow)],
    ['DataRow with fewer columns', decodeDataRow, message(BACKEND.dataRow, [0, 2], int32(1), 'a')],
    ['DataRow with 65535 columns that are not there', decodeDataRow, message(BACKEND.dataRow, [255, 255])],
    ['DataRow with more columns', decodeDataRow, message(BACKEND.dataRow, [0, 0], int32(-1))],
    ['a column of -2 bytes', decodeDataRow, message(BACKEND.dataRow, [0, 1], int32(-2), 'a')],
    ['a column of 2^31-1 bytes', decodeDataRow, message(BACKEND.dataRow, [0, 1], int32(2 ** 31 - 1), 'a')],
    ['a column that ends behind the row', decodeDataRow, message(BACKEND.dataRow, [0, 1], int32(2), 'a')],
  ];
  test.each(cases)('%s', (_what, decode, bytes) => {
    const error = refusalOf(decode, bytes);
    expect(error.kind).toBe('backend_protocol_violation');
    expect(error.message).toMatch(/^malformed [A-Za-z]+ message from the backend$/);
    onlyProtocolErrors(decode, bytes);
  });

  test('a key or its absence outlives the message it came in', () => {
    const bytes = encodeBackendKeyData(1, Buffer.from('secret'));
    const { key } = decodeBackendKeyData(bytes, 0, bytes.length);
    bytes.fill(0);
    expect(key.toString()).toBe('secret');
  });
});

test('no body makes a reader throw anything but ProtocolError, or look past its end', () => {
  const decoders: Decoder<unknown>[] = [
    decodeAuthentication,
    decodeBackendKeyData,
    decodeCommandComplete,
    decodeDataRow,
    decodeNegotiateProtocolVersion,
    decodeParameterStatus,
    decodeReadyForQuery,
  ];
  const byte = fc.oneof(fc.constantFrom(0, 1, 3, 5, 10, 0x49, 0x7f, 0x80, 0xff), fc.nat(255));
  fc.assert(
    fc.property(fc.constantFrom(...decoders), fc.array(byte, { maxLength: 80 }), (decode, body) => {
      onlyProtocolErrors(decode, message(0x5a, body));
    }),
    { numRuns: 1_000 },
  );
});
