import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  decodeBackendKeyData,
  decodeCommandComplete,
  decodeDataRow,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../../src/protocol/backend-decoders.ts';
import { PROTOCOL_3_0, PROTOCOL_3_2 } from '../../src/protocol/codes.ts';
import { decodeErrorFields, errorResponseFor } from '../../src/protocol/error-response.ts';
import { Framer } from '../../src/protocol/framer.ts';
import {
  decodeBindNames,
  decodeClose,
  decodeDescribe,
  decodeExecute,
  decodeParse,
  decodeQuery,
} from '../../src/protocol/frontend-decoders.ts';
import {
  encodeBind,
  encodeClose,
  encodeCopyFail,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeQuery,
  FLUSH,
  SYNC,
} from '../../src/protocol/frontend-encoders.ts';
import { BACKEND_RULES, clientRules } from '../../src/protocol/limits.ts';
import { ProtocolError } from '../../src/protocol/protocol-error.ts';
import { rewriteBind, rewriteParse } from '../../src/protocol/rewrite.ts';
import { decodeStartupPacket, encodeCancelRequest, encodeStartup } from '../../src/protocol/startup-messages.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { withTrueLength } from '../support/codec-case.ts';
import { clientMessage, printTranscript, withoutChance } from '../support/transcript.ts';
import { WireClient, type WireOptions } from '../support/wire-client.ts';
import { type Message, resultOf } from '../support/wire-message.ts';

/** What this floor says and understands, held against a real PostgreSQL: its bytes, its answers, its words. */
let cluster: Cluster;
let at: { host: string; port: number };

beforeAll(async () => {
  const methods = ['trust', 'password', 'md5', 'scram-sha-256'];
  const roles = methods.map((method) => `host all by_${method.replaceAll('-', '_')} all ${method}`);
  cluster = await startCluster({ replicas: 0, hba: roles });
  const { host, port } = cluster.primary;
  at = { host, port };
  for (const method of methods) {
    const hash = method === 'md5' ? 'md5' : 'scram-sha-256';
    const role = `by_${method.replaceAll('-', '_')}`;
    const secret = hash === 'md5' ? `md5${createHash('md5').update(`secret${role}`).digest('hex')}` : 'secret';
    await cluster.primary.query(`CREATE ROLE ${role} LOGIN PASSWORD '${secret}'`);
  }
});

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

function told(messages: readonly Message[]): string[] {
  return printTranscript(
    messages.map(({ bytes }) => ({ side: 'S', bytes })),
    withoutChance,
  ).split('\n');
}

describe('logging in', () => {
  test.each(['trust', 'password', 'md5', 'scram_sha_256'])('works by %s', async (method) => {
    const options: WireOptions = { ...at, user: `by_${method}`, database: 'postgres', password: 'secret' };
    using client = await WireClient.connect(options);
    expect((await client.query('SELECT current_user')).rows).toEqual([[`by_${method}`]]);
    if (method !== 'trust')
      await expect(WireClient.connect({ ...options, password: 'wrong' })).rejects.toMatchObject({ sqlstate: '28P01' });
  });

  test('gives messages that are read as they are meant, whatever the version', async () => {
    for (const [version, keyBytes] of [
      [PROTOCOL_3_0, 4],
      [PROTOCOL_3_2, 32],
    ] as const) {
      using client = await WireClient.open(at);
      client.send(
        encodeStartup(version, [
          ['user', 'postgres'],
          ['application_name', 'a'],
          ['application_name', 'b'],
        ]),
      );
      const messages = await client.receiveUntilReady();
      const named = (name: string) => messages.filter((message) => message.name === name).map(({ bytes }) => bytes);
      const parameters = named('ParameterStatus').map((bytes) => decodeParameterStatus(bytes, 0, bytes.length));
      expect(parameters).toContainEqual({ name: 'application_name', value: 'b' });
      const [key = SYNC] = named('BackendKeyData');
      expect(decodeBackendKeyData(key, 0, key.length).key.length).toBe(keyBytes);
      const [ready = SYNC] = named('ReadyForQuery');
      expect(decodeReadyForQuery(ready, 0, ready.length)).toBe(0x49);
    }
  });

  test('is negotiated down as PostgreSQL does', async () => {
    using client = await WireClient.open(at);
    client.send(
      encodeStartup(0x0003_270f, [
        ['user', 'postgres'],
        ['_pq_.a', '1'],
        ['_pq_.b', '2'],
      ]),
    );
    const [answer] = await client.receive(1);
    const { bytes } = answer ?? { bytes: SYNC };
    expect(decodeNegotiateProtocolVersion(bytes, 0, bytes.length)).toEqual({
      version: PROTOCOL_3_2,
      unknownOptions: ['_pq_.a', '_pq_.b'],
    });
  });

  test.each([
    ['without a terminator', withLength('user\0postgres\0')],
    ['with more behind it', withLength('user\0postgres\0\0x')],
    ['of version 4', withLength('user\0postgres\0\0', 0x0004_0000)],
  ])('a startup packet %s is refused in the same words', async (_what, packet) => {
    using client = await WireClient.open(at);
    client.send(packet);
    expectSameWords((await client.receiveUntilClosed()).at(-1), () => decodeStartupPacket(packet));
  });
});

test('version 2 is refused in the same words, said as version 2 said them', async () => {
  const packet = withLength('user\0postgres\0\0', 0x0002_0000);
  using client = await WireClient.open(at);
  client.send(packet);
  const words = 'unsupported frontend protocol 2.0: server supports 3.0 to 3.2';
  expect((await client.receiveBytes(words.length + 11)).toString('latin1')).toBe(`EFATAL:  ${words}\n\0`);
  expect(() => decodeStartupPacket(packet)).toThrow(words);
});

describe('speaking', () => {
  test('the extended protocol, with every message of ours', async () => {
    using client = await WireClient.connect({ ...at });
    client.send(encodeParse('s1', 'SELECT 1::int4 AS one', []), encodeDescribe('statement', 's1'), FLUSH);
    expect(told(await client.receive(3))).toEqual([
      'S: ParseComplete',
      'S: ParameterDescription []',
      'S: RowDescription [["one",0,0,23,4,-1,0]]',
    ]);
    client.send(
      encodeBind('p1', 's1'),
      encodeExecute('p1', 1),
      encodeClose('portal', 'p1'),
      encodeClose('statement', 's1'),
      SYNC,
    );
    expect(told(await client.receiveUntilReady())).toEqual([
      'S: BindComplete',
      'S: DataRow ["1"]',
      'S: PortalSuspended',
      'S: CloseComplete',
      'S: CloseComplete',
      'S: ReadyForQuery "I"',
    ]);
  });

  test('renamed statements, with the rest as it came', async () => {
    using client = await WireClient.connect({ ...at });
    const parse = encodeParse('theirs', 'SELECT $1::text', []);
    const bind = clientMessage('Bind', '', 'theirs', [], ['x'.repeat(70_000)], []);
    const renamed = (bytes: Buffer, rewrite: typeof rewriteBind) => {
      const { head, restStart } = rewrite(
        { buffer: bytes, start: 0, end: bytes.length, length: bytes.length },
        Buffer.from('ours_1'),
      );
      return Buffer.concat([head, bytes.subarray(restStart)]);
    };
    client.send(renamed(parse, rewriteParse), renamed(bind, rewriteBind), encodeExecute(''), SYNC);
    expect(resultOf(await client.receiveUntilReady()).rows).toEqual([['x'.repeat(70_000)]]);
    expect((await client.query('SELECT name FROM pg_prepared_statements')).rows).toEqual([['ours_1']]);
  });

  test('rows and tags are read as they are meant', async () => {
    using client = await WireClient.connect({ ...at });
    client.send(encodeQuery("SELECT 'a' || chr(252), NULL, ''"));
    const [, row, complete] = (await client.receiveUntilReady()).map(({ bytes }) => bytes);
    expect(decodeDataRow(row ?? SYNC, 0, row?.length ?? 0)).toEqual(['a\xc3\xbc', null, '']);
    expect(decodeCommandComplete(complete ?? SYNC, 0, complete?.length ?? 0)).toBe('SELECT 1');
  });

  test('a COPY that is called off', async () => {
    using client = await WireClient.connect({ ...at });
    client.send(encodeQuery('CREATE TEMP TABLE t (a int); COPY t FROM STDIN'));
    expect((await client.receive(2)).map((message) => message.name)).toEqual(['CommandComplete', 'CopyInResponse']);
    client.send(encodeCopyFail('no more'));
    expect(told(await client.receiveUntilReady())[0]).toContain('COPY from stdin failed: no more');
  });

  test('a cancel request', async () => {
    for (const protocolVersion of [PROTOCOL_3_0, PROTOCOL_3_2]) {
      using client = await WireClient.connect({ ...at, protocolVersion });
      client.send(encodeQuery('SELECT pg_sleep(60)'));
      await expect
        .poll(
          async () => (await cluster.primary.query(`SELECT wait_event FROM pg_stat_activity WHERE pid = ${client.processId}`))[0],
        )
        .toEqual({ wait_event: 'PgSleep' });
      using other = await WireClient.open(at);
      other.send(encodeCancelRequest(client.processId, client.key));
      await other.receiveUntilClosed();
      expect(told(await client.receiveUntilReady()).at(-2)).toContain('57014');
    }
  });

  test('a result of many messages comes through the framer as it is, wherever it is cut', async () => {
    using client = await WireClient.connect({ ...at });
    client.send(encodeQuery('SELECT i, repeat(chr(65 + i % 26), i) FROM generate_series(1, 2000) i'));
    const messages = await client.receiveUntilReady();
    const stream = Buffer.concat(messages.map(({ bytes }) => bytes));
    const framer = new Framer(BACKEND_RULES);
    const pieces: Buffer[] = [];
    let ends = 0;
    for (let from = 0; from < stream.length; from += 777) {
      framer.push(stream.subarray(from, from + 777));
      while (framer.next()) {
        pieces.push(framer.buffer.subarray(framer.start, framer.end));
        if (framer.last) ends++;
      }
    }
    expect(Buffer.concat(pieces).equals(stream)).toBe(true);
    expect(ends).toBe(messages.length);
  });
});

describe('what makes no sense is refused in the same words', () => {
  const odd: [string, Buffer, (buffer: Buffer, start: number, end: number) => unknown][] = [
    ['a Query without its zero', message('Q', 'select 1'), decodeQuery],
    ['a Query with a zero inside', message('Q', 'select\0 1\0'), decodeQuery],
    ['a Parse without its types', message('P', 's\0q\0'), decodeParse],
    ['a Parse with more types than it says', message('P', 's\0select 1\0\0\0\0\0\0\x17'), decodeParse],
    ['a Bind without a name', message('B', 'p'), decodeBindNames],
    ['a Describe of nothing', message('D', ''), decodeDescribe],
    ['a Describe of something else', message('D', 'Xs\0'), decodeDescribe],
    ['a Describe with more behind', message('D', 'Ss\0x'), decodeDescribe],
    ['a Close of something else', message('C', 'Xs\0'), decodeClose],
    ['an Execute without a limit', message('E', 'p\0\0\0'), decodeExecute],
    ['an Execute with more behind', message('E', 'p\0\0\0\0\0x'), decodeExecute],
  ];
  test.each(odd)('%s', async (_what, bytes, decode) => {
    using client = await WireClient.connect({ ...at });
    // A Query brings its own ReadyForQuery.
    client.send(bytes, ...(decode === decodeQuery ? [] : [SYNC]));
    expectSameWords((await client.receiveUntilReady())[0], () => decode(bytes, 0, bytes.length));
    expect((await client.query('SELECT 1')).rows).toEqual([['1']]);
  });

  test.each([0x5a, 0x00, 0xff, 0x70])('a message of type %i, which ends the connection', async (type) => {
    using client = await WireClient.connect({ ...at });
    const bytes = Buffer.of(type, 0, 0, 0, 4);
    client.send(bytes);
    expectSameWords((await client.receiveUntilClosed()).at(-1), () => frame(bytes));
  });

  test.each([
    ['Q', 3],
    ['Q', 0x3fff_ffff],
    ['Q', 0xffff_ffff],
    ['S', 10_001],
    ['D', 10_001],
  ])('a length that PostgreSQL closes the connection for is refused: %s %i', async (type, length) => {
    using client = await WireClient.connect({ ...at });
    const bytes = message(type, '');
    bytes.writeUInt32BE(length, 1);
    client.send(bytes);
    await client.receiveUntilClosed();
    expect(() => frame(bytes)).toThrow(ProtocolError);
  });

  test.each([
    ['S', 10_000],
    ['D', 10_000],
    ['Q', 0x3fff_fffe],
  ])('a length that PostgreSQL waits for is waited for: %s %i', async (type, length) => {
    using client = await WireClient.connect({ ...at, timeoutMs: 300 });
    const bytes = message(type, '');
    bytes.writeUInt32BE(length, 1);
    client.send(bytes);
    await expect(client.receive(1)).rejects.toThrow('within 300 ms');
    expect(frame(bytes)).toBeUndefined();
  });
});

/** A client's message of any body, true to its length. */
function message(type: string, body: string): Buffer {
  return withTrueLength(Buffer.from(`${type}\0\0\0\0${body}`, 'latin1'));
}

function withLength(body: string, version = PROTOCOL_3_0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head.writeUInt32BE(version, 4);
  return Buffer.concat([head, Buffer.from(body, 'latin1')]);
}

function frame(bytes: Buffer): void {
  const framer = new Framer(clientRules(1_000));
  framer.push(bytes);
  framer.next();
}

/** PostgreSQL's error and ours say the same: severity, SQLSTATE and message. */
function expectSameWords(theirs: Message | undefined, refuse: () => unknown): void {
  expect(theirs?.name).toBe('ErrorResponse');
  let refusal: unknown = null;
  try {
    refuse();
  } catch (error) {
    refusal = error;
  }
  if (!(refusal instanceof ProtocolError)) throw new Error(`nothing was refused, but PostgreSQL said ${theirs}`);
  const [ours, original] = [errorResponseFor(refusal), theirs?.bytes ?? SYNC].map((bytes) =>
    decodeErrorFields(bytes, 0, bytes.length),
  );
  expect([ours?.severity, ours?.sqlstate, ours?.message]).toEqual([original?.severity, original?.sqlstate, original?.message]);
}
