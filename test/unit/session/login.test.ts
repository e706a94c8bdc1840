import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PROTOCOL_3_0, PROTOCOL_3_2 } from '../../../src/protocol/codes.ts';
import { encodePassword, encodeSaslInitialResponse, encodeSaslResponse } from '../../../src/protocol/frontend-encoders.ts';
import { encodeCancelRequest, encodeStartup, SSL_REQUEST } from '../../../src/protocol/startup-messages.ts';
import type { LoginOptions, LoginStep } from '../../../src/session/login.ts';
import { byteByByte, cutAt, cutsWithin } from '../../support/cuts.ts';
import { LoginDriver, type Setup } from './login-driver.ts';

const GSS_REQUEST = Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x30]);
const STARTUP = startup({ user: 'app', database: 'shop', application_name: 'test' });
const PASSWORD = encodePassword('right');

describe('how a connection begins', () => {
  test('with a startup packet at once', async () => {
    const driver = new LoginDriver();
    expect(await driver.give(STARTUP, PASSWORD)).toMatchObject({
      kind: 'accepted',
      login: { user: 'app', database: 'shop', protocolVersion: PROTOCOL_3_0, tls: false, credential: { kind: 'password' } },
    });
    expect(driver.messages.map(String)).toEqual(['S: Authentication 3, ""', 'S: Authentication 0, ""']);
  });

  test('with an SSLRequest that is declined, then in plain text', async () => {
    const driver = new LoginDriver();
    expect((await driver.give(SSL_REQUEST)).kind).toBe('read');
    expect(driver.take().toString()).toBe('N');
    expect((await driver.give(STARTUP, PASSWORD)).kind).toBe('accepted');
  });

  test('with an SSLRequest that is accepted, then over TLS', async () => {
    const driver = new LoginDriver({ tls: 'offered' });
    await driver.give(SSL_REQUEST);
    expect(driver.take().toString()).toBe('S');
    expect(driver.handshakes).toMatchObject([{ direct: false, received: Buffer.alloc(0) }]);
    expect(await driver.give(STARTUP, PASSWORD)).toMatchObject({ kind: 'accepted', login: { tls: true } });
  });

  test('with TLS at once: what came is handed over whole', async () => {
    const driver = new LoginDriver({ tls: 'offered' });
    const hello = Buffer.from([0x16, 3, 1, 2, 0, 1]);
    await driver.give(hello);
    expect(driver.handshakes).toMatchObject([{ direct: true, received: hello }]);
    expect(driver.take().length).toBe(0);
    expect(await driver.give(STARTUP, PASSWORD)).toMatchObject({ kind: 'accepted', login: { tls: true } });
  });

  test('with TLS at once where there is none: closed without a word', async () => {
    expect(await new LoginDriver().give(Buffer.from([0x16, 3, 1]))).toMatchObject({ kind: 'refused', bytes: Buffer.alloc(0) });
  });

  test.each([
    ['GSSENCRequest', [GSS_REQUEST], 'N'],
    ['GSSENCRequest, SSLRequest', [GSS_REQUEST, SSL_REQUEST], 'NN'],
    ['SSLRequest, GSSENCRequest', [SSL_REQUEST, GSS_REQUEST], 'NN'],
  ])('with %s, each declined once, then in plain text', async (_, requests, answers) => {
    const driver = new LoginDriver();
    await driver.give(...requests);
    expect(driver.take().toString()).toBe(answers);
    expect((await driver.give(STARTUP, PASSWORD)).kind).toBe('accepted');
  });

  test.each<[string, LoginOptions['tls'], Buffer[], string]>([
    ['a second SSLRequest', 'none', [SSL_REQUEST, SSL_REQUEST], '1234.5679'],
    ['a second GSSENCRequest', 'none', [GSS_REQUEST, GSS_REQUEST], '1234.5680'],
    ['an SSLRequest inside TLS', 'offered', [SSL_REQUEST, SSL_REQUEST], '1234.5679'],
    ['a GSSENCRequest inside TLS', 'offered', [SSL_REQUEST, GSS_REQUEST], '1234.5680'],
    ['an SSLRequest inside direct TLS', 'offered', [Buffer.from([0x16]), SSL_REQUEST], '1234.5679'],
    ['protocol 2.0', 'none', [versioned(2, 0)], '2.0'],
    ['protocol 4.0', 'none', [versioned(4, 0)], '4.0'],
    ['protocol 0.0', 'none', [versioned(0, 0)], '0.0'],
  ])('not with %s', async (_, tls, chunks, version) => {
    expect(await new LoginDriver({ tls }).give(...chunks)).toMatchObject(
      refusal('0A000', `unsupported frontend protocol ${version}: server supports 3.0 to 3.2`),
    );
  });

  test.each<[string, LoginOptions['tls'], Buffer, string]>([
    ['a startup packet behind an SSLRequest', 'offered', Buffer.concat([SSL_REQUEST, STARTUP]), 'SSL request'],
    ['a startup packet behind a declined SSLRequest', 'none', Buffer.concat([SSL_REQUEST, STARTUP]), 'SSL request'],
    ['garbage behind an SSLRequest', 'offered', Buffer.concat([SSL_REQUEST, Buffer.from('x')]), 'SSL request'],
    ['another request behind an SSLRequest', 'offered', Buffer.concat([SSL_REQUEST, GSS_REQUEST]), 'SSL request'],
    ['a startup packet behind a GSSENCRequest', 'offered', Buffer.concat([GSS_REQUEST, STARTUP]), 'GSSAPI encryption request'],
  ])('not with %s: nothing of it is looked at', async (_, tls, stuffed, behind) => {
    const driver = new LoginDriver({ tls });
    expect(await driver.give(stuffed)).toMatchObject(refusal('08P01', `received unencrypted data after ${behind}`));
    expect(driver.handshakes).toEqual([]);
    expect(driver.machine.identity).toBeNull();
    expect(driver.messages.map(({ name }) => name)).toEqual(['ErrorResponse']);
  });

  test.each([4, 8, 32, 256])('with a CancelRequest that has a key of %i bytes', async (bytes) => {
    const key = Buffer.alloc(bytes, 9);
    expect(await new LoginDriver().give(encodeCancelRequest(0x8000_0001 | 0, key))).toEqual({
      kind: 'cancel',
      processId: 0x8000_0001 | 0,
      secretKey: key,
    });
  });

  test.each([0, 3, 257])('not with a CancelRequest that has a key of %i bytes', async (bytes) => {
    expect(await new LoginDriver().give(encodeCancelRequest(1, Buffer.alloc(bytes)))).toMatchObject(
      refusal('08P01', 'invalid length of cancel key in cancel request packet'),
    );
  });

  test.each([0, 1, 4, 7, 10_005, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])('not with a length of %i', async (length) => {
    const header = Buffer.alloc(8);
    header.writeUInt32BE(length);
    expect(await new LoginDriver().give(header)).toMatchObject(refusal('08P01', 'invalid length of startup packet'));
  });
});

describe('the protocol version', () => {
  test.each([
    ['3.0 without options', PROTOCOL_3_0, [], null],
    ['3.2 without options', PROTOCOL_3_2, [], null],
    ['3.3', 0x0003_0003, [], [PROTOCOL_3_2, []]],
    [
      '3.9999 with options',
      0x0003_270f,
      ['_pq_.test_protocol_negotiation', '_pq_.b'],
      [PROTOCOL_3_2, ['_pq_.test_protocol_negotiation', '_pq_.b']],
    ],
    ['3.0 with an option', PROTOCOL_3_0, ['_pq_.x'], [PROTOCOL_3_0, ['_pq_.x']]],
    ['3.2 with an option', PROTOCOL_3_2, ['_pq_.x'], [PROTOCOL_3_2, ['_pq_.x']]],
  ])('%s is negotiated once, before authentication', async (_, version, options, declined) => {
    const driver = new LoginDriver();
    const parameters = Object.fromEntries([['user', 'app'], ...options.map((name) => [name, 'on'])]);
    const step = await driver.give(startup(parameters, version), PASSWORD);
    const negotiation = declined === null ? [] : [['NegotiateProtocolVersion', ...declined.flat(1)]];
    const [first, ...more] = driver.messages;
    expect([first, ...more].map((message) => message?.name)).toEqual([
      ...negotiation.map(() => 'NegotiateProtocolVersion'),
      'Authentication',
      'Authentication',
    ]);
    if (declined !== null) {
      expect(first?.body.readInt32BE(0)).toBe(declined[0]);
      expect(first?.body.readInt32BE(4)).toBe(options.length);
      expect(first?.body.subarray(8).toString()).toBe(options.map((name) => `${name}\0`).join(''));
    }
    expect(step).toMatchObject({ kind: 'accepted', login: { protocolVersion: Math.min(version, PROTOCOL_3_2) } });
    expect(step.kind === 'accepted' && [...step.login.parameters.keys()]).toEqual([]);
  });
});

describe('the startup packet', () => {
  test('leaves settings as they were sent, without user and database', async () => {
    const step = await new LoginDriver().give(
      startup({ user: 'app', database: 'd', options: '-c x=y', client_encoding: 'UTF8' }),
      PASSWORD,
    );
    expect(step.kind === 'accepted' && [...step.login.parameters]).toEqual([
      ['options', '-c x=y'],
      ['client_encoding', 'UTF8'],
    ]);
  });

  test.each([
    [{ user: 'app' }, 'app'],
    [{ user: 'app', database: '' }, 'app'],
    [{ user: 'app', database: 'x' }, 'x'],
  ])('%j means database %s', async (parameters, database) => {
    expect(await new LoginDriver().give(startup(parameters), PASSWORD)).toMatchObject({ login: { database } });
  });

  test.each([{}, { user: '' }, { database: 'x' }])('without a user is refused: %j', async (parameters) => {
    expect(await new LoginDriver().give(startup(parameters))).toMatchObject(
      refusal('28000', 'no PostgreSQL user name specified in startup packet'),
    );
  });

  test.each([63, 64, 4_000])('names of %i bytes are cut at 63', async (bytes) => {
    const driver = new LoginDriver({ method: 'trust' });
    const step = await driver.give(startup({ user: 'u'.repeat(bytes), database: 'd'.repeat(bytes) }));
    expect(step).toMatchObject({ login: { user: 'u'.repeat(63), database: 'd'.repeat(63) } });
  });

  test('names are cut between bytes, as in PostgreSQL, even inside a character', async () => {
    const name = Buffer.from(`${'u'.repeat(62)}ü`).toString('latin1');
    expect(await new LoginDriver({ method: 'trust' }).give(startup({ user: name }))).toMatchObject({
      login: { user: name.slice(0, 63) },
    });
  });

  test.each([8_192, 65_536])('with %i bytes in a name is refused or cut, never more', async (bytes) => {
    const step = await new LoginDriver({ method: 'trust' }).give(rawStartup({ user: 'u'.repeat(bytes) }));
    expect(step.kind).toBe(bytes > 10_000 ? 'refused' : 'accepted');
  });

  test.each(['true', 'database', '1', 'on', 'off', 'FALSE', 'y', 'tr', 'no'])(
    'replication=%s is passed on',
    async (replication) => {
      const step = await new LoginDriver().give(startup({ user: 'app', replication }), PASSWORD);
      expect(step.kind === 'accepted' && step.login.parameters.get('replication')).toBe(replication);
    },
  );

  test.each(['', 'maybe', 'Database', 'o', 'trues', '2'])('replication=%j is refused', async (replication) => {
    expect(await new LoginDriver().give(startup({ user: 'app', replication }))).toMatchObject(
      refusal('22023', `invalid value for parameter "replication": "${replication}"`),
    );
  });

  test('without TLS is refused where TLS is required, and says what to do', async () => {
    const driver = new LoginDriver({ tls: 'required', method: 'trust' });
    expect(await driver.give(STARTUP)).toMatchObject(refusal('28000', 'this server takes encrypted connections only'));
    expect(await new LoginDriver({ tls: 'required', method: 'trust' }).give(SSL_REQUEST, STARTUP)).toMatchObject({
      kind: 'accepted',
    });
    expect(await new LoginDriver({ tls: 'required' }).give(encodeCancelRequest(1, Buffer.alloc(4)))).toMatchObject({
      kind: 'cancel',
    });
  });

  test.each([
    ['without a terminator', STARTUP.length - 1],
    ['that ends in a name', 20],
    ['with bytes behind its terminator', STARTUP.length + 3],
  ])('%s is refused', async (_, length) => {
    const packet = Buffer.alloc(length);
    STARTUP.copy(packet);
    packet.writeUInt32BE(length);
    expect(await new LoginDriver().give(packet)).toMatchObject(
      refusal('08P01', 'invalid startup packet layout: expected terminator as last byte'),
    );
  });
});

describe('what comes after the last message', () => {
  test('is handed on, not read', async () => {
    const query = Buffer.from('Q\0\0\0\x0dselect 1\0', 'latin1');
    const step = await new LoginDriver().give(Buffer.concat([STARTUP, PASSWORD, query]));
    expect(step).toMatchObject({ kind: 'accepted', login: { rest: query } });
  });

  test('is handed on for a trusted user, too', async () => {
    const step = await new LoginDriver({ method: 'trust' }).give(Buffer.concat([STARTUP, Buffer.from([0x51, 0])]));
    expect(step).toMatchObject({ kind: 'accepted', login: { rest: Buffer.from([0x51, 0]) } });
  });
});

describe('however the bytes are cut', () => {
  const rest = Buffer.from('Q\0\0\0\x0dselect 1\0P', 'latin1');
  const stream = Buffer.concat([STARTUP, PASSWORD, rest]);

  test('byte by byte', async () => {
    expect(await restOf(byteByByte(stream))).toEqual(rest.subarray(0, 0));
  });

  test('anywhere, the outcome is the same', async () => {
    await fc.assert(
      fc.asyncProperty(cutsWithin(stream.length), async (cuts) => {
        const chunks = cutAt(stream, cuts);
        const given = await restOf(chunks);
        expect(rest.subarray(0, given.length).equals(given)).toBe(true);
      }),
    );
  });

  async function restOf(chunks: readonly Buffer[]): Promise<Buffer> {
    const step = await new LoginDriver().give(...chunks);
    if (step.kind !== 'accepted') throw new Error(`the login ended with ${step.kind}`);
    return step.login.rest;
  }
});

describe('a client that misbehaves', () => {
  const types = Array.from({ length: 256 }, (_, type) => type);
  const states: [string, Setup, Buffer[]][] = [
    ['before the startup packet', {}, []],
    ['after a declined SSLRequest', {}, [SSL_REQUEST]],
    ['at the beginning of TLS', { tls: 'offered' }, [SSL_REQUEST]],
    ['asked for a password', { method: 'password' }, [STARTUP]],
    ['asked for md5', { method: 'md5' }, [startup({ user: 'app' })]],
    ['asked for a mechanism', { method: 'scram-sha-256' }, [STARTUP]],
    ['asked for client-first', { method: 'scram-sha-256' }, [STARTUP, encodeSaslInitialResponse('SCRAM-SHA-256', null)]],
    [
      'asked for client-final',
      { method: 'scram-sha-256' },
      [STARTUP, encodeSaslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc'))],
    ],
  ];

  test.each(states)('and sends any message %s is sent away, or waited for', async (_, setup, before) => {
    for (const type of types) {
      const driver = new LoginDriver(setup);
      expect((await driver.give(...before)).kind).toBe('read');
      const step = await driver.give(Buffer.from([type, 0, 0, 0, 4]));
      // Five bytes with a zero first are the beginning of a startup packet.
      if (step.kind !== 'read')
        expect(step).toMatchObject({ kind: 'refused', error: { sqlstate: expect.stringMatching(/^(08P01|28P01)$/) } });
      if (before.length > 0 && before[0] !== SSL_REQUEST && type !== 0x70) {
        expect(step).toMatchObject(refusal('08P01', `expected password response, got message type ${type}`));
      }
    }
  });

  test('and sends anything at any time never gets in, and never does harm', async () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(
        SSL_REQUEST,
        GSS_REQUEST,
        STARTUP,
        encodePassword('wrong'),
        encodeSaslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc')),
        encodeSaslResponse(Buffer.from('c=biws,r=abc,p=AAAA')),
      ),
    );
    const setup = fc.record({
      method: fc.constantFrom('password', 'md5', 'scram-sha-256'),
      tls: fc.constantFrom('none', 'offered', 'required'),
    });
    await fc.assert(
      fc.asyncProperty(setup, fc.array(piece, { maxLength: 6 }), async (options, chunks) => {
        const step = await new LoginDriver(options).give(...chunks);
        expect(['read', 'refused', 'cancel']).toContain(step.kind);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ['that is -1 with data behind it', -1, 'invalid message format'],
    ['of -2', -2, 'insufficient data left in message'],
    ['of 2^31-1', 0x7fff_ffff, 'insufficient data left in message'],
    ['of -2^31', -0x8000_0000, 'insufficient data left in message'],
    ['one too large', 12, 'insufficient data left in message'],
    ['one too small', 10, 'invalid message format'],
  ])('and sends an inner SASL length %s is sent away', async (_, length, text) => {
    const message = encodeSaslInitialResponse('SCRAM-SHA-256', Buffer.from('n,,n=,r=abc'));
    message.writeInt32BE(length, 5 + 'SCRAM-SHA-256'.length + 1);
    expect(await new LoginDriver({ method: 'scram-sha-256' }).give(STARTUP, message)).toMatchObject(refusal('08P01', text));
  });

  test('and sends a mechanism without an end is sent away', async () => {
    const message = Buffer.concat([Buffer.from([0x70, 0, 0, 0, 9]), Buffer.from('SCRAM')]);
    expect(await new LoginDriver({ method: 'scram-sha-256' }).give(STARTUP, message)).toMatchObject(
      refusal('08P01', 'invalid string in message'),
    );
  });

  test.each([3, 65_536, 0x7fff_ffff, 0xffff_ffff])(
    'and announces a password of %i bytes is sent away before it comes',
    async (length) => {
      const header = Buffer.from([0x70, 0, 0, 0, 0]);
      header.writeUInt32BE(length, 1);
      expect(await new LoginDriver().give(STARTUP, header)).toMatchObject(refusal('08P01', 'invalid message length'));
    },
  );

  test('and sends a wrong password is told what PostgreSQL tells', async () => {
    const driver = new LoginDriver();
    expect(await driver.give(STARTUP, encodePassword('wrong'))).toMatchObject({ kind: 'refused', reason: 'wrong password' });
    const [error] = driver.messages.at(-1)?.args ?? [];
    expect(error).toEqual({ S: 'FATAL', V: 'FATAL', C: '28P01', M: 'password authentication failed for user "app"' });
  });
});

function startup(parameters: Readonly<Record<string, string>>, version: number = PROTOCOL_3_0): Buffer {
  return encodeStartup(version, Object.entries(parameters));
}

/** Without the encoder's bounds. */
function rawStartup(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Object.entries(parameters)
    .map(([name, value]) => `${name}\0${value}\0`)
    .join('');
  const packet = Buffer.concat([Buffer.alloc(8), Buffer.from(`${body}\0`)]);
  packet.writeUInt32BE(packet.length);
  packet.writeUInt32BE(PROTOCOL_3_0, 4);
  return packet;
}

function versioned(major: number, minor: number): Buffer {
  return startup({ user: 'app' }, major * 0x1_0000 + minor);
}

function refusal(sqlstate: string, message: string): Partial<LoginStep> & object {
  return { kind: 'refused', error: expect.objectContaining({ sqlstate, message }) } as Partial<LoginStep>;
}
