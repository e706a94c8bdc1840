import { Readable } from 'node:stream';
import { parse, serialize } from 'pg-protocol';
import { describe, expect, test } from 'vitest';
import {
  encodeBackendKeyData,
  encodeCommandComplete,
  encodeDataRow,
  encodeParameterStatus,
  encodeRowDescription,
  READY_FOR_QUERY,
} from '../../../src/protocol/backend-encoders.ts';
import { encodeErrorResponse } from '../../../src/protocol/error-response.ts';
import {
  encodeBind,
  encodeClose,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
  SYNC,
} from '../../../src/protocol/frontend-encoders.ts';

/** node-postgres's own codec, written by others from the same specification, as an oracle for ours. */
describe('messages that pgweir writes are those of node-postgres, byte for byte', () => {
  const pairs: readonly [string, Buffer, Buffer][] = [
    ['Query', encodeQuery('SELECT 1'), serialize.query('SELECT 1')],
    ['Parse', encodeParse('s1', 'SELECT $1', [23, 25]), serialize.parse({ name: 's1', text: 'SELECT $1', types: [23, 25] })],
    ['Describe of a statement', encodeDescribe('statement', 's1'), serialize.describe({ type: 'S', name: 's1' })],
    ['Describe of a portal', encodeDescribe('portal', ''), serialize.describe({ type: 'P', name: '' })],
    ['Execute', encodeExecute('p', 7), serialize.execute({ portal: 'p', rows: 7 })],
    ['Close', encodeClose('statement', 's1'), serialize.close({ type: 'S', name: 's1' })],
    ['Sync', SYNC, serialize.sync()],
  ];
  test.each(pairs)('%s', (_name, ours, theirs) => {
    expect(ours.equals(theirs)).toBe(true);
  });

  test('Bind without parameters differs in the result formats only, which PostgreSQL takes for the same', () => {
    // Theirs asks for text once for all columns, ours leaves the list empty: protocol page, "Bind".
    const theirs = serialize.bind({ portal: 'p', statement: 's' });
    expect(theirs.subarray(5, 9).equals(encodeBind('p', 's').subarray(5, 9))).toBe(true);
  });
});

describe('node-postgres reads what pgweir says to clients', () => {
  async function read(bytes: Buffer): Promise<object[]> {
    const messages: object[] = [];
    await parse(Readable.from([bytes]) as unknown as Parameters<typeof parse>[0], (message) => messages.push(message));
    return messages;
  }

  test('a whole conversation', async () => {
    const messages = await read(
      Buffer.concat([
        encodeParameterStatus('TimeZone', 'UTC'),
        encodeBackendKeyData(42, Buffer.from([1, 2, 3, 4])),
        READY_FOR_QUERY.idle,
        encodeRowDescription(['route']),
        encodeDataRow(['primary']),
        encodeCommandComplete('SHOW'),
        encodeErrorResponse({ severity: 'ERROR', sqlstate: '57P03', message: 'no primary is available', hint: 'wait' }),
        READY_FOR_QUERY.failed,
      ]),
    );
    expect(messages).toMatchObject([
      { name: 'parameterStatus', parameterName: 'TimeZone', parameterValue: 'UTC' },
      { name: 'backendKeyData', processID: 42, secretKey: 0x01020304 },
      { name: 'readyForQuery', status: 'I' },
      { name: 'rowDescription', fields: [{ name: 'route', format: 'text' }] },
      { name: 'dataRow', fields: ['primary'] },
      { name: 'commandComplete', text: 'SHOW' },
      { name: 'error', severity: 'ERROR', code: '57P03', message: 'no primary is available', hint: 'wait' },
      { name: 'readyForQuery', status: 'E' },
    ]);
  });
});
