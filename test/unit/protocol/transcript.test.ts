import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeAuthenticationMd5,
  encodeBackendKeyData,
  encodeDataRow,
  encodeRowDescription,
  READY_FOR_QUERY,
} from '../../../src/protocol/backend-encoders.ts';
import { BACKEND, FRONTEND, PROTOCOL_3_2 } from '../../../src/protocol/codes.ts';
import { encodeErrorResponse } from '../../../src/protocol/error-response.ts';
import { encodeBind, encodeParse, encodePassword, encodeQuery, SYNC } from '../../../src/protocol/frontend-encoders.ts';
import { encodeCancelRequest, encodeStartup, SSL_REQUEST } from '../../../src/protocol/startup-messages.ts';
import { withTrueLength } from '../../support/codec-case.ts';
import {
  backendMessage,
  clientMessage,
  type Line,
  parseTranscript,
  printTranscript,
  splitStream,
  withoutChance,
} from '../../support/transcript.ts';

const CONVERSATION: readonly Line[] = [
  { side: 'C', bytes: SSL_REQUEST },
  { side: 'S', bytes: Buffer.from('N') },
  { side: 'C', bytes: encodeStartup(PROTOCOL_3_2, [['user', 'app']]) },
  { side: 'S', bytes: encodeAuthenticationMd5(Buffer.of(1, 2, 3, 4)) },
  { side: 'C', bytes: encodePassword('md5abc') },
  { side: 'S', bytes: encodeBackendKeyData(42, Buffer.from('keys')) },
  { side: 'S', bytes: READY_FOR_QUERY.idle },
  { side: 'C', bytes: encodeQuery('select "x y", 1') },
  { side: 'S', bytes: encodeRowDescription(['x y']) },
  { side: 'S', bytes: encodeDataRow(['\xc3\xbc', null]) },
  { side: 'S', bytes: encodeErrorResponse({ sqlstate: '42P01', message: 'm', routine: 'parserOpenTable' }) },
  { side: 'C', bytes: encodeParse('s', 'q', [23]) },
  { side: 'C', bytes: encodeBind('', 's') },
  { side: 'C', bytes: SYNC },
  { side: 'C', bytes: Buffer.from([0x5a, 0xff]) },
  { side: 'C', bytes: encodeCancelRequest(42, Buffer.from('keys')) },
];

const TEXT = `
C: SSLRequest
S: hex 4e
C: StartupMessage "3.2", "user", "app"
S: Authentication 5, "\\u0001\\u0002\\u0003\\u0004"
C: Password "md5abc\\u0000"
S: BackendKeyData 42, "keys"
S: ReadyForQuery "I"
C: Query "select \\"x y\\", 1"
S: RowDescription ["x y"]
S: DataRow ["\xc3\xbc",null]
S: ErrorResponse {"S":"ERROR","V":"ERROR","C":"42P01","M":"m","R":"parserOpenTable"}
C: Parse "s", "q", [23]
C: Bind "", "s", [], [], []
C: Sync
C: hex 5aff
C: CancelRequest 42, "keys"
`.trim();

describe('a transcript', () => {
  test('is printed as a person would say it', () => {
    expect(printTranscript(CONVERSATION)).toBe(TEXT);
  });

  test('is read back to the same bytes', () => {
    expect(parseTranscript(TEXT)).toEqual(CONVERSATION);
  });

  test('may have blank lines, comments and indentation', () => {
    expect(parseTranscript('\n  # first\n  C: Sync\n\n')).toEqual([{ side: 'C', bytes: SYNC }]);
  });

  test.each(['select 1', 'X: Sync', 'C: Nothing', 'S: Query "select 1"', 'C: Query "select', 'C: Query nonsense'])(
    'has no line such as %s',
    (line) => {
      expect(() => parseTranscript(line)).toThrow('not a line of a transcript');
    },
  );

  test('loses nothing, whatever was said', () => {
    const types = fc.constantFrom(...Object.values(FRONTEND), ...Object.values(BACKEND), 0);
    const small = fc.oneof(fc.constantFrom(0, 1, 2, 0x53, 0xff), fc.nat(255));
    const shaped = fc
      .tuple(types, fc.array(small, { maxLength: 40 }))
      .map(([type, body]) => withTrueLength(Buffer.of(type, 0, 0, 0, 0, ...body)));
    const garbage = fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes));
    const line = fc.record({ side: fc.constantFrom('C' as const, 'S' as const), bytes: fc.oneof(shaped, garbage) });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
        expect(parseTranscript(printTranscript(lines))).toEqual(lines);
      }),
      { numRuns: 1_000 },
    );
  });

  test('can leave out what differs from run to run', () => {
    const printed = printTranscript(CONVERSATION, withoutChance).split('\n');
    expect(printed[3]).toBe('S: Authentication 5, "<challenge>"');
    expect(printed[4]).toBe('C: Password "<secret>"');
    expect(printed[5]).toBe('S: BackendKeyData "<process id>", "<key>"');
    expect(printed[10]).toBe('S: ErrorResponse {"S":"ERROR","V":"ERROR","C":"42P01","M":"m"}');
    expect(printed[15]).toBe('C: CancelRequest "<process id>", "<key>"');
  });
});

test('a stream is split into its messages, and what is left over comes last', () => {
  const said = CONVERSATION.filter((line) => line.side === 'C').map((line) => line.bytes);
  const [cancel, garbage] = [said.pop(), said.pop()];
  const stream = Buffer.concat([...said, cancel ?? SYNC, garbage ?? SYNC]);
  expect(splitStream('C', stream).map((line) => line.bytes)).toEqual([...said, cancel, garbage]);
  expect(splitStream('S', Buffer.from('Z\0\0\0\x02xx')).length).toBe(1);
});

test('what the tests know of the protocol agrees with what pgweir writes', () => {
  expect(clientMessage('Parse', 's', 'q', [23])).toEqual(encodeParse('s', 'q', [23]));
  expect(clientMessage('Bind', 'p', 's', [], [], [])).toEqual(encodeBind('p', 's'));
  expect(clientMessage('StartupMessage', '3.2', 'user', 'app')).toEqual(encodeStartup(PROTOCOL_3_2, [['user', 'app']]));
  expect(backendMessage('RowDescription', ['a', 'b'])).toEqual(encodeRowDescription(['a', 'b']));
  expect(backendMessage('DataRow', ['a', null])).toEqual(encodeDataRow(['a', null]));
  expect(backendMessage('BackendKeyData', 42, 'keys')).toEqual(encodeBackendKeyData(42, Buffer.from('keys')));
  expect(backendMessage('ErrorResponse', { S: 'ERROR', V: 'ERROR', C: '26000', M: 'm' })).toEqual(
    encodeErrorResponse({ sqlstate: '26000', message: 'm' }),
  );
});
