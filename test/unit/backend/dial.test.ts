import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { type Credential, PasswordCredential } from '../../../src/auth/credential.ts';
import { md5Verifier } from '../../../src/auth/md5.ts';
import { deriveScramKeys } from '../../../src/auth/scram-keys.ts';
import { ScramServer } from '../../../src/auth/scram-server.ts';
import { sendCancel } from '../../../src/backend/cancel.ts';
import { type DialedBackend, type DialOptions, dialBackend } from '../../../src/backend/dial.ts';
import { BackendLoginError } from '../../../src/backend/login-error.ts';
import { loadBackendTls, type SslMode } from '../../../src/backend/tls.ts';
import { OperationalError } from '../../../src/util/errors.ts';
import { realClock } from '../../../src/util/real-clock.ts';
import { Secret } from '../../../src/util/secret.ts';
import { certificatePath } from '../../support/certificates.ts';
import { type Conversation, FakeBackend } from '../../support/fake-backend.ts';
import { backendMessage } from '../../support/transcript.ts';

const OK = backendMessage('Authentication', 0, '');
const KEY = backendMessage('BackendKeyData', 4711, 'abcd');
const VERSION = backendMessage('ParameterStatus', 'server_version', '18.4 (Debian 18.4-1)');
const READY = backendMessage('ReadyForQuery', 'I');
const SASL = backendMessage('Authentication', 10, 'SCRAM-SHA-256\0\0');

describe('a backend that lets us in', () => {
  test('is described as it described itself', async () => {
    const { dialed } = await talkTo(async (server) => {
      await server.hearPacket();
      server.send(OK, VERSION, backendMessage('ParameterStatus', 'TimeZone', 'UTC'), KEY, READY);
    });
    expect(dialed).toMatchObject({
      processId: 4711,
      secretKey: Buffer.from('abcd'),
      tls: false,
      serverVersion: 180004,
      rest: Buffer.alloc(0),
    });
    expect([...(dialed?.parameters ?? [])]).toEqual([
      ['server_version', '18.4 (Debian 18.4-1)'],
      ['TimeZone', 'UTC'],
    ]);
  });

  test('hears user, database and settings byte for byte, by protocol 3.0', async () => {
    let heard = '';
    const user = Buffer.from('jürgen').toString('latin1');
    await talkTo(
      async (server) => {
        heard = (await server.hearPacket()).toString('latin1');
        server.send(OK, READY);
      },
      { user, database: 'shop', parameters: new Map([['options', '-c a=b']]) },
    );
    expect(heard).toBe(`\0\0\0\x33\0\x03\0\0user\0${user}\0database\0shop\0options\0-c a=b\0\0`);
  });

  test('may say it in any pieces, with notices in between and more behind', async () => {
    const notice = backendMessage('NoticeResponse', { S: 'WARNING', M: 'md5 is deprecated' });
    const later = backendMessage('ParameterStatus', 'x', 'y');
    const all = Buffer.concat([notice, OK, notice, VERSION, KEY, READY, later]);
    const { dialed } = await talkTo(async (server) => {
      await server.hearPacket();
      for (const byte of all.subarray(0, -later.length - 3)) {
        server.send(Buffer.of(byte));
        await sleep(0);
      }
      server.send(all.subarray(-later.length - 3));
    });
    expect(dialed).toMatchObject({ processId: 4711, rest: later });
  });

  test('may have no key and no version', async () => {
    const { dialed } = await talkTo(async (server) => {
      await server.hearPacket();
      server.send(OK, READY);
    });
    expect(dialed).toMatchObject({ processId: 0, secretKey: Buffer.alloc(0), serverVersion: null });
  });

  test.each([
    ['19beta1', 190000],
    ['18.4', 180004],
    ['10.23', 100023],
    ['9.6.24', 90624],
    ['weird', null],
  ])('of version %s', async (text, number) => {
    const { dialed } = await talkTo(async (server) => {
      await server.hearPacket();
      server.send(OK, backendMessage('ParameterStatus', 'server_version', text), READY);
    });
    expect(dialed?.serverVersion).toBe(number);
  });

  test.each<[string, Credential, Buffer, string | null]>([
    ['a readable password', password('right'), backendMessage('Authentication', 3, ''), 'right\0'],
    [
      'md5, from a password',
      password('right'),
      backendMessage('Authentication', 5, 'salt'),
      'md517adf9f31b0bb769b2d7dc78e1173146\0',
    ],
    [
      'md5, from an md5 verifier',
      { kind: 'md5', verifier: md5Verifier(Buffer.from('right'), 'app') },
      backendMessage('Authentication', 5, 'salt'),
      'md517adf9f31b0bb769b2d7dc78e1173146\0',
    ],
    ['nothing', { kind: 'none' }, OK, null],
  ])('asks for %s', async (_, credential, question, expected) => {
    let answer = '';
    const { error } = await talkTo(
      async (server) => {
        await server.hearPacket();
        server.send(question);
        if (expected === null) return server.send(READY);
        answer = (await server.hearMessage()).subarray(5).toString();
        server.send(OK, READY);
      },
      { credential },
    );
    expect(error).toBeNull();
    expect(answer).toBe(expected ?? '');
  });
});

describe('a backend that refuses', () => {
  test('is quoted byte for byte, and it is known how far we got', async () => {
    const refusal = (sqlstate: string) => backendMessage('ErrorResponse', { S: 'FATAL', V: 'FATAL', C: sqlstate, M: 'no' });
    const early = await talkTo(async (server) => {
      await server.hearPacket();
      server.send(refusal('28P01'));
    });
    expect(early.error).toBeInstanceOf(BackendLoginError);
    expect(early.error).toMatchObject({
      sqlstate: '28P01',
      authenticated: false,
      credentialRefused: true,
      response: refusal('28P01'),
    });
    const late = await talkTo(async (server) => {
      await server.hearPacket();
      server.send(OK, refusal('3D000'));
    });
    expect(late.error).toMatchObject({
      sqlstate: '3D000',
      authenticated: true,
      credentialRefused: false,
      response: refusal('3D000'),
    });
  });

  test.each([
    ['no fields', Buffer.from('E\0\0\0\x05\0', 'latin1'), 'XX000'],
    ['not even a terminator', Buffer.from('E\0\0\0\x04', 'latin1'), 'XX000'],
    ['no SQLSTATE', backendMessage('ErrorResponse', { S: 'FATAL', M: 'no' }), 'XX000'],
    ['no message', backendMessage('ErrorResponse', { S: 'FATAL', C: '57P03' }), '57P03'],
    ['a field twice', Buffer.from('E\0\0\0\x13C53300\0C28000\0\0', 'latin1'), '53300'],
    ['a field without an end', Buffer.from('E\0\0\0\x0bMabcdef', 'latin1'), 'XX000'],
    ['a message of half a megabyte', backendMessage('ErrorResponse', { C: '57P03', M: 'x'.repeat(500_000) }), '57P03'],
  ])('with %s does no harm, in each state', async (_, response, sqlstate) => {
    for (const before of [[], [OK], [SASL]]) {
      const { error } = await talkTo(async (server) => {
        await server.hearPacket();
        server.send(...before, response);
      });
      expect(error).toMatchObject({ name: 'BackendLoginError', sqlstate, response });
    }
  });
});

describe('somebody who only plays a backend', () => {
  test.each<[string, Buffer]>([
    ['text of another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['zeros', Buffer.alloc(64)],
    ['a length of 0', Buffer.from('R\0\0\0\0', 'latin1')],
    ['a length of 3', Buffer.from('R\0\0\0\x03', 'latin1')],
    ['a length of 2^31-1', Buffer.from('R\x7f\xff\xff\xff', 'latin1')],
    ['a length of 2^31', Buffer.from('R\x80\0\0\0', 'latin1')],
    ['a length of 2^32-1', Buffer.from('R\xff\xff\xff\xff', 'latin1')],
    [
      'an error that is announced as a gigabyte and half comes',
      Buffer.concat([Buffer.from('E\x3f\xff\xff\xff', 'latin1'), Buffer.alloc(2_000_000, 65)]),
    ],
    ['rows', backendMessage('DataRow', ['1'])],
    ['ready before it let us in', READY],
    ['a parameter before it let us in', VERSION],
    ['a method that does not end', Buffer.from('R\0\0\0\x0c\0\0\0\x0aSCRA', 'latin1')],
    ['an md5 salt of 3 bytes', Buffer.from('R\0\0\0\x0b\0\0\0\x05abc', 'latin1')],
    ['the end of SASL before its beginning', backendMessage('Authentication', 12, 'v=AAAA')],
    ['the middle of SASL before its beginning', backendMessage('Authentication', 11, 'r=a,s=AAAA,i=1')],
    ['success in the middle of SASL', Buffer.concat([SASL, OK])],
    ['a readable password in the middle of SASL', Buffer.concat([SASL, backendMessage('Authentication', 3, '')])],
    ['one question after the other', Buffer.concat(Array.from({ length: 50 }, () => backendMessage('Authentication', 3, '')))],
    ['success twice', Buffer.concat([OK, OK])],
    ['a transaction at login', Buffer.concat([OK, backendMessage('ReadyForQuery', 'T')])],
    ['an unknown transaction status', Buffer.concat([OK, backendMessage('ReadyForQuery', 'X')])],
    ['a cancel key of 0 bytes', Buffer.concat([OK, backendMessage('BackendKeyData', 1, ''), READY])],
    ['a cancel key of 3 bytes', Buffer.concat([OK, backendMessage('BackendKeyData', 1, 'abc'), READY])],
    ['a cancel key of 5 bytes in protocol 3.0', Buffer.concat([OK, backendMessage('BackendKeyData', 1, 'abcde'), READY])],
    ['a cancel key of 257 bytes', Buffer.concat([OK, backendMessage('BackendKeyData', 1, 'a'.repeat(257)), READY])],
    [
      'parameters without end',
      Buffer.concat([OK, ...Array.from({ length: 3_000 }, () => backendMessage('ParameterStatus', 'x', 'y'.repeat(1_000)))]),
    ],
    [
      'notices without end',
      Buffer.concat(Array.from({ length: 3_000 }, () => backendMessage('NoticeResponse', { M: 'y'.repeat(1_000) }))),
    ],
  ])('and says %s is left', async (_, bytes) => {
    const { error, server } = await talkTo(async (conversation) => {
      await conversation.hearPacket();
      conversation.send(bytes);
      await conversation.untilClosed();
    });
    expect(error).toMatchObject({ sqlstate: '08P01', kind: 'backend_protocol_violation' });
    expect(server.open).toBe(0);
  });

  test.each<[string, (own: string) => string]>([
    ['a nonce that is not ours', () => `r=xyz,s=AAAA,i=1`],
    ['a nonce of a kilobyte and more', (own) => `r=${own}${'a'.repeat(1_100)},s=AAAA,i=1`],
    ['an empty salt', (own) => `r=${own}x,s=,i=1`],
    ['a salt that is not base64', (own) => `r=${own}x,s=!!!!,i=1`],
    ['no iterations', (own) => `r=${own}x,s=AAAA,i=0`],
    ['2^31 iterations', (own) => `r=${own}x,s=AAAA,i=2147483648`],
    ['a million and one iterations', (own) => `r=${own}x,s=AAAA,i=1000001`],
  ])('and begins SCRAM with %s is left', async (_, serverFirst) => {
    const { error } = await talkTo(async (server) => {
      await server.hearPacket();
      server.send(SASL);
      const own = /r=(.*)/.exec((await server.hearMessage()).toString('latin1'))?.[1] ?? '';
      server.send(backendMessage('Authentication', 11, serverFirst(own)));
      await server.untilClosed();
    });
    expect(error).toMatchObject({ sqlstate: '08P01' });
  });

  test.each([
    ['no signature', [backendMessage('Authentication', 12, '')]],
    ['a wrong signature', [backendMessage('Authentication', 12, `v=${Buffer.alloc(32).toString('base64')}`)]],
    ['an error of SASL', [backendMessage('Authentication', 12, 'e=other-error')]],
    ['success without a signature', [OK]],
  ])('and ends SCRAM with %s is left: it does not know the verifier', async (_, end) => {
    const { error } = await talkTo(async (server) => {
      await server.hearPacket();
      await scram(server, 'right', () => end);
      await server.untilClosed();
    });
    expect(error).toMatchObject({ sqlstate: '08P01' });
  });

  test('and says nothing is left when time is over', async () => {
    const began = performance.now();
    for (const silence of [0, 1, 8, 100]) {
      const { error, server } = await talkTo(
        async (conversation) => {
          conversation.send(OK.subarray(0, silence));
          await conversation.untilClosed();
        },
        { timeoutMs: 100 },
      );
      expect(error).toMatchObject({ kind: 'backend_unreachable', message: expect.stringContaining('timeout after 100 ms') });
      expect(server.open).toBe(0);
    }
    expect(performance.now() - began).toBeLessThan(4_000);
  });

  test('and hangs up is left', async () => {
    for (const before of [null, Buffer.alloc(0), OK, SASL]) {
      const { error } = await talkTo(async (server) => {
        if (before !== null) {
          await server.hearPacket();
          server.send(before);
        }
        server.socket.end();
      });
      expect(error).toMatchObject({ kind: 'backend_unreachable', sqlstate: '08006' });
    }
  });
});

describe('what pgweir knows of a user', () => {
  test('logs in by SCRAM with a password, and the keys are derived once', async () => {
    const credential = password('right');
    for (let round = 0; round < 2; round++) {
      const { error } = await talkTo(
        async (server) => {
          await server.hearPacket();
          await scram(server, 'right', (final) => [backendMessage('Authentication', 12, final), OK, READY]);
        },
        { credential },
      );
      expect(error).toBeNull();
    }
    const [first, second] = [await credential.keysFor(Buffer.alloc(16, 7), 5), await credential.keysFor(Buffer.alloc(16, 7), 5)];
    expect(first).toBe(second);
  });

  test('logs in by SCRAM with keys that were passed through, where the verifier is the same', async () => {
    const keys = await deriveScramKeys(Buffer.from('right'), Buffer.alloc(16, 7), 5);
    const { error } = await talkTo(
      async (server) => {
        await server.hearPacket();
        await scram(server, 'right', (final) => [backendMessage('Authentication', 12, final), OK, READY]);
      },
      { credential: { kind: 'scram keys', keys } },
    );
    expect(error).toBeNull();
  });

  test.each([
    ['salt', Buffer.alloc(16, 8), 5],
    ['iteration count', Buffer.alloc(16, 7), 6],
  ])('fails clearly when the verifier has another %s', async (_, salt, iterations) => {
    const keys = await deriveScramKeys(Buffer.from('right'), salt, iterations);
    const { error } = await talkTo(
      async (server) => {
        await server.hearPacket();
        await scram(server, 'right', () => []);
      },
      { credential: { kind: 'scram keys', keys } },
    );
    expect(error).toMatchObject({
      kind: 'backend_login_failed',
      message: 'role "app" has another SCRAM verifier on this backend than the client logged in with',
    });
  });

  const keys = deriveScramKeys(Buffer.from('right'), Buffer.alloc(16, 7), 5);
  test.each<[string, () => Promise<Credential> | Credential, Buffer]>([
    [
      'a readable password, but it has SCRAM keys',
      async () => ({ kind: 'scram keys', keys: await keys }),
      backendMessage('Authentication', 3, ''),
    ],
    [
      'an md5 password, but it has SCRAM keys',
      async () => ({ kind: 'scram keys', keys: await keys }),
      backendMessage('Authentication', 5, 'salt'),
    ],
    ['SCRAM, but it has an md5 hash', () => ({ kind: 'md5', verifier: Secret.from(`md5${'0'.repeat(32)}`) }), SASL],
    ['SCRAM, but it has nothing', () => ({ kind: 'none' }), SASL],
    ['another SASL mechanism', () => password('right'), backendMessage('Authentication', 10, 'OAUTHBEARER\0\0')],
    ['Kerberos', () => password('right'), backendMessage('Authentication', 2, '')],
  ])('may not be what a backend asks for: %s', async (_, credential, question) => {
    const { error } = await talkTo(
      async (server) => {
        await server.hearPacket();
        server.send(question);
        await server.untilClosed();
      },
      { credential: await credential() },
    );
    expect(error).toMatchObject({ kind: 'backend_login_failed', message: expect.stringContaining('role "app"') });
  });
});

describe('the answer to a request for TLS', () => {
  const modes: SslMode[] = ['require', 'verify-ca', 'verify-full', 'prefer'];

  test.each(modes)('with bytes behind it ends the connection (%s)', async (mode) => {
    for (const bytes of ['SE', 'NE', `S${OK.toString('latin1')}`, `N${OK.toString('latin1')}`, 'SS', 'Sx', 'NN']) {
      const { error, server } = await talkTo(
        async (conversation) => {
          await conversation.hearPacket();
          conversation.send(Buffer.from(bytes, 'latin1'));
          await conversation.untilClosed();
        },
        { tls: tlsWith(mode) },
      );
      expect(error).toMatchObject({ sqlstate: '08P01' });
      expect(server.connections).toBe(1);
    }
  });

  test.each(modes.slice(0, 3))('never shows what an unknown backend says (%s)', async (mode) => {
    const error = backendMessage('ErrorResponse', { S: 'FATAL', C: '28000', M: 'please visit http://evil.example' });
    const outcome = await talkTo(
      async (server) => {
        await server.hearPacket();
        server.send(error);
        await server.untilClosed();
      },
      { tls: tlsWith(mode) },
    );
    expect(outcome.error).toBeInstanceOf(OperationalError);
    expect(outcome.error?.message).not.toContain('evil');
    expect(outcome.error).toMatchObject({
      kind: 'backend_unreachable',
      message: expect.stringContaining('answered an SSL request with an error'),
    });
    expect(outcome.server.connections).toBe(1);
  });

  test.each(modes.slice(0, 3))('that there is none is not put up with (%s)', async (mode) => {
    const heard: Buffer[] = [];
    const { error } = await talkTo(
      async (server) => {
        heard.push(await server.hearPacket());
        server.send(Buffer.from('N'));
        heard.push(await server.hearPacket());
      },
      { tls: tlsWith(mode) },
    );
    expect(error).toMatchObject({ kind: 'backend_unreachable', message: expect.stringContaining('does not support TLS') });
    expect(heard.length).toBe(1);
  });

  test('and plain text after it is no TLS', async () => {
    const { error } = await talkTo(
      async (server) => {
        await server.hearPacket();
        server.send(Buffer.from('S'));
        await sleep(20);
        server.send(OK, KEY, READY);
        await server.untilClosed();
      },
      { tls: tlsWith('require') },
    );
    expect(error).toMatchObject({ kind: 'backend_unreachable', message: expect.stringContaining('TLS handshake failed') });
  });

  test('that there is none is put up with by prefer, on the same connection', async () => {
    const { error, dialed, server } = await talkTo(
      async (conversation) => {
        await conversation.hearPacket();
        conversation.send(Buffer.from('N'));
        await conversation.hearPacket();
        conversation.send(OK, READY);
      },
      { tls: tlsWith('prefer') },
    );
    expect(error).toBeNull();
    expect(dialed?.tls).toBe(false);
    expect(server.connections).toBe(1);
  });

  test('that is an error, or a handshake that fails, makes prefer try once more in plain text', async () => {
    for (const answer of ['E\0\0\0\x05\0', 'S']) {
      const { error, dialed, server } = await talkTo(
        async (conversation, connection) => {
          await conversation.hearPacket();
          if (connection > 1) return conversation.send(OK, READY);
          conversation.send(Buffer.from(answer, 'latin1'));
          await sleep(20);
          conversation.socket.destroy();
        },
        { tls: tlsWith('prefer') },
      );
      expect(error).toBeNull();
      expect(dialed?.tls).toBe(false);
      expect(server.connections).toBe(2);
    }
  });

  test('after which silence ends in time', async () => {
    for (const answer of ['', 'S']) {
      const { error } = await talkTo(
        async (server) => {
          await server.hearPacket();
          server.send(Buffer.from(answer));
          await server.untilClosed();
        },
        { tls: tlsWith('prefer'), timeoutMs: 100 },
      );
      expect(error).toMatchObject({ message: expect.stringContaining('timeout after 100 ms') });
    }
  });

  test('is followed by a login over TLS', async () => {
    const { error, dialed } = await talkTo((conversation) => serveTls(conversation, 'server'), { tls: tlsWith('prefer') });
    expect(error).toBeNull();
    expect(dialed).toMatchObject({ tls: true, processId: 4711 });
  });
});

describe('the name in a certificate of the right authority', () => {
  test.each<[SslMode, boolean]>([
    ['require', true],
    ['verify-ca', true],
    ['verify-full', false],
  ])('matters with %s: a certificate of another host is accepted: %s', async (mode, accepted) => {
    const { error } = await talkTo((conversation) => serveTls(conversation, 'elsewhere'), { tls: tlsWith(mode) });
    expect(error === null).toBe(accepted);
    if (!accepted) expect(error?.message).toContain("IP: 127.0.0.1 is not in the cert's list");
  });
});

describe('giving up', () => {
  test('ends a login that is under way', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 50);
    const { error, server } = await talkTo((conversation) => conversation.untilClosed(), { signal: controller.signal });
    expect(error).toMatchObject({ kind: 'backend_unreachable', message: 'connecting was given up' });
    expect(server.open).toBe(0);
  });

  test('before the beginning is over at once', async () => {
    const { error } = await talkTo((conversation) => conversation.untilClosed(), { signal: AbortSignal.abort() });
    expect(error).toMatchObject({ message: 'connecting was given up' });
  });

  test('a name that does not exist is told as such', async () => {
    await expect(dialBackend({ ...defaults(), host: 'no-such-host.invalid', port: 1 })).rejects.toMatchObject({
      kind: 'backend_unreachable',
      message: expect.stringContaining('no-such-host.invalid:1'),
    });
  });
});

describe('a cancel request', () => {
  const cancel = { processId: 4711, secretKey: Buffer.from('abcd'), timeoutMs: 500, clock: realClock };

  test('is sent, and is over when the backend hangs up', async () => {
    let heard: Buffer = Buffer.alloc(0);
    let hungUp = false;
    await using server = await FakeBackend.start(async (conversation) => {
      heard = await conversation.hearPacket();
      await sleep(30);
      hungUp = true;
      conversation.socket.end();
    });
    await sendCancel({ ...cancel, host: server.host, port: server.port, tls: null });
    expect(hungUp).toBe(true);
    expect(heard.toString('hex')).toBe('0000001004d2162e0000126761626364');
  });

  test('goes over TLS or not at all', async () => {
    const heard: Buffer[] = [];
    await using plain = await FakeBackend.start(async (conversation) => {
      heard.push(await conversation.hearPacket());
      conversation.send(Buffer.from('N'));
      heard.push(await conversation.hearPacket());
    });
    const failure = sendCancel({ ...cancel, host: plain.host, port: plain.port, tls: tlsWith('prefer') });
    await expect(failure).rejects.toMatchObject({ kind: 'backend_unreachable' });
    expect(heard.length).toBe(1);
  });

  test('to a backend that does not hang up ends in time', async () => {
    await using server = await FakeBackend.start((conversation) => conversation.untilClosed());
    const failure = sendCancel({ ...cancel, timeoutMs: 80, host: server.host, port: server.port, tls: null });
    await expect(failure).rejects.toMatchObject({ message: expect.stringContaining('timeout after 80 ms') });
    await sleep(10);
    expect(server.open).toBe(0);
  });
});

interface Outcome {
  readonly dialed: DialedBackend | null;
  readonly error: Error | null;
  /** After everything was closed on our side. */
  readonly server: { readonly connections: number; readonly open: number };
}

/** Dials a backend that talks as told. What was dialed is closed again. */
async function talkTo(
  talk: (conversation: Conversation, connection: number) => Promise<void> | void,
  options: Partial<DialOptions> = {},
): Promise<Outcome> {
  await using server = await FakeBackend.start(talk);
  const dialing = dialBackend({ ...defaults(), ...options, host: server.host, port: server.port });
  const [dialed, error] = await dialing.then(
    (backend): [DialedBackend | null, Error | null] => [backend, null],
    (failure: unknown): [null, Error] => [null, failure instanceof Error ? failure : new Error(String(failure))],
  );
  dialed?.socket.destroy();
  const { connections } = server;
  for (let wait = 0; server.open > 0 && wait < 50; wait++) await sleep(2);
  return { dialed, error, server: { connections, open: server.open } };
}

function defaults(): Omit<DialOptions, 'host' | 'port'> {
  return {
    user: 'app',
    database: 'app',
    parameters: new Map(),
    credential: password('right'),
    tls: tlsWith('disable'),
    timeoutMs: 2_000,
    clock: realClock,
  };
}

function tlsWith(mode: SslMode) {
  return loadBackendTls({ mode, caFile: certificatePath('authority.pem'), certFile: null, keyFile: null });
}

function password(text: string): PasswordCredential {
  return new PasswordCredential(Secret.from(text));
}

/** The server's side of SCRAM up to the client's proof; `end` gives the rest from server-final. */
async function scram(server: Conversation, of: string, end: (final: string) => readonly Buffer[]): Promise<void> {
  const verifier = (await deriveScramKeys(Buffer.from(of), Buffer.alloc(16, 7), 5)).verifier();
  const machine = new ScramServer({ mechanism: 'SCRAM-SHA-256', verifier, nonce: 'snonce', endPointHash: null });
  server.send(SASL);
  const initial = (await server.hearMessage()).toString('latin1');
  server.send(backendMessage('Authentication', 11, machine.first(initial.slice(initial.indexOf('n,,')))));
  const proven = machine.final((await server.hearMessage()).subarray(5).toString('latin1'));
  server.send(...end(proven?.serverFinal ?? ''));
}

/** A backend that speaks TLS and trusts everybody. */
async function serveTls(conversation: Conversation, name: string): Promise<void> {
  await conversation.hearPacket();
  conversation.send(Buffer.from('S'));
  const secureContext = tls.createSecureContext({
    cert: readFileSync(certificatePath(`${name}.pem`)),
    key: readFileSync(certificatePath(`${name}.key`)),
  });
  const secured = new tls.TLSSocket(conversation.socket, { isServer: true, secureContext });
  secured.on('error', () => undefined);
  secured.once('data', () => secured.write(Buffer.concat([OK, KEY, READY])));
}
