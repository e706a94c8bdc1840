import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeErrorFields,
  encodeErrorResponse,
  encodeNoticeResponse,
  errorResponseFor,
} from '../../../src/protocol/error-response.ts';
import { BACKEND_RULES } from '../../../src/protocol/limits.ts';
import { ProtocolError } from '../../../src/protocol/protocol-error.ts';
import { ERRORS, type ErrorKind, OperationalError } from '../../../src/util/errors.ts';
import { decodeAmid, testCodec, withTrueLength } from '../../support/codec-case.ts';

/** An ErrorResponse of any body. */
function errorOf(body: string): Buffer {
  return withTrueLength(Buffer.from(`E\0\0\0\0${body}`, 'latin1'));
}

function fieldsOf(bytes: Buffer) {
  return decodeErrorFields(bytes, 0, bytes.length);
}

describe('reading an error never fails (T-SRV-ERR)', () => {
  test.each([
    ['no fields', '\0', {}],
    ['nothing at all', '', {}],
    ['no SQLSTATE', 'SERROR\0Mbroken\0\0', { severity: 'ERROR', message: 'broken' }],
    ['no message', 'SERROR\0C42P01\0\0', { severity: 'ERROR', sqlstate: '42P01' }],
    ['a field twice', 'Ma\0Mb\0C1\0C2\0\0', { message: 'a', sqlstate: '1' }],
    ['an empty field and the same again', 'M\0Mb\0\0', { message: '' }],
    ['a field that does not end', 'C42P01\0Mbro', { sqlstate: '42P01' }],
    ['a letter and nothing else', 'C42P01\0M', { sqlstate: '42P01' }],
    ['no terminator', 'C42P01\0', { sqlstate: '42P01' }],
    ['fields nobody knows', '!x\0\xffy\0C42P01\0\0', { sqlstate: '42P01' }],
    ['fields behind the terminator', 'C42P01\0\0Mx\0', { sqlstate: '42P01' }],
  ])('%s', (_what, body, expected) => {
    for (const around of [0x00, 0x4d, 0xff]) expect(decodeAmid(decodeErrorFields, errorOf(body), around)).toEqual(expected);
  });

  test('a message of a megabyte', () => {
    const bytes = errorOf(`M${'x'.repeat(1_000_000)}\0C42P01\0\0`);
    expect(fieldsOf(bytes).sqlstate).toBe('42P01');
    expect(decodeErrorFields(bytes, 0, 60_000)).toEqual({});
  });

  test('any bytes at all, and nothing behind them', () => {
    const byte = fc.oneof(fc.constantFrom(0, 0x43, 0x4d, 0x53, 0xff), fc.nat(255));
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), (body) => {
        const bytes = errorOf(Buffer.from(body).toString('latin1'));
        const [zeros, letters] = [decodeAmid(decodeErrorFields, bytes, 0), decodeAmid(decodeErrorFields, bytes, 0x43)];
        expect(letters).toEqual(zeros);
      }),
      { numRuns: 500 },
    );
  });
});

describe('writing errors', () => {
  const all = {
    severity: 'ERROR',
    severityNonLocalized: 'ERROR',
    sqlstate: '23505',
    message: 'duplicate key value violates unique constraint "users_pkey"',
    detail: 'Key (id)=(1) already exists.',
    hint: 'Take another.',
    position: '15',
    internalPosition: '3',
    internalQuery: 'select 1',
    where: 'SQL function "f"',
    schema: 'public',
    table: 'users',
    column: 'id',
    dataType: 'integer',
    constraint: 'users_pkey',
    file: 'nbtinsert.c',
    line: '666',
    routine: '_bt_check_unique',
  };
  testCodec('ErrorResponse of all fields', BACKEND_RULES, encodeErrorResponse(all), decodeErrorFields, all);
  testCodec('NoticeResponse', BACKEND_RULES, encodeNoticeResponse({ severity: 'WARNING', message: 'no' }), decodeErrorFields, {
    severity: 'WARNING',
    severityNonLocalized: 'WARNING',
    message: 'no',
  });

  test('has the bytes of the protocol page', () => {
    const bytes = encodeErrorResponse({ sqlstate: '26000', message: 'm' });
    expect(bytes.toString('latin1')).toBe('E\0\0\0\x1dSERROR\0VERROR\0C26000\0Mm\0\0');
    expect(encodeNoticeResponse({ message: 'm' })[0]).toBe(0x4e);
  });

  test('every error of the registry can be told', () => {
    for (const kind of Object.keys(ERRORS) as ErrorKind[]) {
      const fields = fieldsOf(
        errorResponseFor(new OperationalError(kind, 'text', { detail: 'more', hint: 'do this', cause: new Error('secret') })),
      );
      expect(fields).toEqual({
        severity: ERRORS[kind].severity,
        severityNonLocalized: ERRORS[kind].severity,
        sqlstate: ERRORS[kind].sqlstate,
        message: 'text',
        detail: 'more',
        hint: 'do this',
      });
    }
  });

  test('detail and hint are left out where there are none', () => {
    expect(Object.keys(fieldsOf(errorResponseFor(new OperationalError('no_primary', 'text'))))).toEqual([
      'severity',
      'severityNonLocalized',
      'sqlstate',
      'message',
    ]);
  });

  test("a peer's fault is told with its own severity", () => {
    const fields = fieldsOf(errorResponseFor(new ProtocolError('protocol_violation', 'invalid string in message', 'ERROR')));
    expect(fields).toMatchObject({ severity: 'ERROR', sqlstate: '08P01', message: 'invalid string in message' });
  });

  test('texts off the wire stay as they were, our own become UTF-8, and zeros do no harm', () => {
    const told = (text: string) => fieldsOf(errorResponseFor(new OperationalError('internal', text))).message;
    expect(told('\xc3\xbc')).toBe('\xc3\xbc');
    expect(told('→ ü')).toBe(Buffer.from('→ ü', 'utf8').toString('latin1'));
    expect(told('a\0b')).toBe('a?b');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const bytes = errorResponseFor(new OperationalError('internal', text, { hint: text }));
        expect(bytes.readUInt32BE(1)).toBe(bytes.length - 1);
        expect(Object.keys(fieldsOf(bytes)).length).toBe(5);
      }),
    );
  });
});
