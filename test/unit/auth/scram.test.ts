import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ClientChannelBinding, ScramClient, ScramServerError } from '../../../src/auth/scram-client.ts';
import {
  deriveScramKeys,
  MAX_SCRAM_ITERATIONS,
  parseScramVerifier,
  type ScramKeys,
  ScramVerifier,
} from '../../../src/auth/scram-keys.ts';
import { SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramServer } from '../../../src/auth/scram-server.ts';
import { OperationalError } from '../../../src/util/errors.ts';

/** The exchange of RFC 7677 section 3. */
const RFC = {
  password: Buffer.from('pencil'),
  salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
  serverNonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
  clientFirst: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
};

const keys = await deriveScramKeys(Buffer.from('secret'), Buffer.alloc(16, 7), 10);

describe('the server', () => {
  test('holds the exchange of RFC 7677', async () => {
    const rfcKeys = await deriveScramKeys(RFC.password, RFC.salt, 4096);
    const server = serverWith({ verifier: rfcKeys.verifier(), nonce: RFC.serverNonce });
    expect(server.first(RFC.clientFirst)).toBe(RFC.serverFirst);
    expect(server.final(RFC.clientFinal)?.serverFinal).toBe(RFC.serverFinal);
  });

  test.each([
    ['nothing', '', '08P01', 'malformed SCRAM message'],
    ['no commas', 'n', '08P01', 'malformed SCRAM message'],
    ['an unknown flag', 'x,,n=,r=abc', '08P01', 'malformed SCRAM message'],
    ['no user name attribute', 'n,,r=abc', '08P01', 'malformed SCRAM message'],
    ['no nonce', 'n,,n=', '08P01', 'malformed SCRAM message'],
    ['an empty nonce', 'n,,n=,r=', '08P01', 'malformed SCRAM message'],
    ['a nonce with a space', 'n,,n=,r=a b', '08P01', 'non-printable characters in SCRAM nonce'],
    ['a nonce with a zero', 'n,,n=,r=a\0b', '08P01', 'non-printable characters in SCRAM nonce'],
    ['something behind the nonce', 'n,,n=,r=abc,', '08P01', 'malformed SCRAM message'],
    ['an authorization identity', 'n,a=admin,n=,r=abc', '0A000', 'client uses authorization identity, but it is not supported'],
    ['a mandatory extension', 'n,,m=x,n=,r=abc', '0A000', 'client requires an unsupported SCRAM extension'],
    ['channel binding without PLUS', 'p=tls-server-end-point,,n=,r=abc', '08P01', 'malformed SCRAM message'],
  ])('refuses a client-first-message with %s', (_, message, sqlstate, text) => {
    expect(() => serverWith({}).first(message)).toThrow(expect.objectContaining({ sqlstate, message: text }));
  });

  test('lets a client that does not bind the channel in, also when it could', () => {
    expect(serverWith({ endPointHash: Buffer.alloc(32) }).first('n,,n=,r=abc')).toContain('r=abc');
  });

  test('refuses a client that was made to believe there is no channel binding', () => {
    expect(() => serverWith({ endPointHash: Buffer.alloc(32) }).first('y,,n=,r=abc')).toThrow(
      expect.objectContaining({ sqlstate: '28000', message: 'SCRAM channel binding negotiation error' }),
    );
    expect(serverWith({ endPointHash: null }).first('y,,n=,r=abc')).toContain('r=abc');
  });

  test.each(['n,,n=,r=abc', 'y,,n=,r=abc'])('refuses PLUS without channel binding: %s', (message) => {
    const server = serverWith({ mechanism: SCRAM_SHA_256_PLUS, endPointHash: Buffer.alloc(32) });
    expect(() => server.first(message)).toThrow('malformed SCRAM message');
  });

  test('refuses channel binding of another type', () => {
    const server = serverWith({ mechanism: SCRAM_SHA_256_PLUS, endPointHash: Buffer.alloc(32) });
    expect(() => server.first('p=tls-unique,,n=,r=abc')).toThrow('unsupported SCRAM channel-binding type "tls-unique"');
  });

  test.each([
    ['nothing', () => '', 'malformed SCRAM message'],
    ['no proof', (valid: string) => valid.slice(0, valid.indexOf(',p=')), 'malformed SCRAM message'],
    ['a short proof', (valid: string) => valid.replace(/p=.*/, 'p=AAAA'), 'malformed SCRAM message'],
    ['a proof that is not base64', (valid: string) => valid.replace(/p=../, 'p=**'), 'malformed SCRAM message'],
    ['a long proof', (valid: string) => valid.replace(/p=.*/, `p=${'A'.repeat(400)}`), 'malformed SCRAM message'],
    ['something behind the proof', (valid: string) => `${valid},x=y`, 'malformed SCRAM message'],
    ['another nonce', (valid: string) => valid.replace('r=abc', 'r=abd'), 'invalid SCRAM response'],
    ['a nonce that is too short', (valid: string) => valid.replace(/r=[^,]*/, 'r=abc'), 'invalid SCRAM response'],
    [
      'another flag than before',
      (valid: string) => valid.replace('c=biws', 'c=eSws'),
      'unexpected SCRAM channel-binding attribute',
    ],
  ])('refuses a client-final-message with %s', async (_, spoil, text) => {
    const server = serverWith({});
    const client = clientWith({});
    const valid = await client.final(server.first(client.first()));
    expect(() => server.final(spoil(valid))).toThrow(text);
  });

  test('never throws anything but an error for the client, whatever comes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (first, final) => {
        const server = serverWith({});
        for (const attempt of [() => server.first(first), () => server.final(final)]) {
          try {
            attempt();
          } catch (error) {
            expect(error).toBeInstanceOf(OperationalError);
          }
        }
      }),
    );
  });
});

describe('client and server', () => {
  test('agree for the right password, and only then', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1 }), fc.uint8Array({ minLength: 1 }), async (right, given) => {
        const verifier = (await deriveScramKeys(Buffer.from(right), Buffer.alloc(16, 1), 2)).verifier();
        const client = clientWith({ keysFor: (salt, iterations) => deriveScramKeys(Buffer.from(given), salt, iterations) });
        const outcome = await exchange(client, serverWith({ verifier }));
        expect(outcome !== null).toBe(Buffer.from(right).equals(Buffer.from(given)));
      }),
    );
  });

  test('bind the channel, and notice another certificate', async () => {
    const hash = Buffer.alloc(32, 5);
    const plus = { mechanism: SCRAM_SHA_256_PLUS, endPointHash: hash };
    expect(await exchange(clientWith({ channelBinding: { endPointHash: hash } }), serverWith(plus))).not.toBeNull();
    const other = clientWith({ channelBinding: { endPointHash: Buffer.alloc(32, 6) } });
    await expect(exchange(other, serverWith(plus))).rejects.toThrow(
      expect.objectContaining({ sqlstate: '28000', message: 'SCRAM channel binding check failed' }),
    );
  });

  test('the keys won from a proof log in where the same verifier is stored, and give the same verifier', async () => {
    const won = await exchange(clientWith({}), serverWith({}));
    if (won === null) throw new Error('the login failed');
    const passedOn = clientWith({ nonce: 'another', keysFor: () => Promise.resolve(won) });
    expect(await exchange(passedOn, serverWith({ nonce: 'elsewhere' }))).not.toBeNull();
    expect(won.verifier().isMadeOf(keys)).toBe(true);
  });

  test('a mock verifier fits no proof, not even of its own salt', async () => {
    const salt = Buffer.alloc(16, 3);
    const client = clientWith({ keysFor: (of, iterations) => deriveScramKeys(Buffer.from('x'), of, iterations) });
    expect(await exchange(client, serverWith({ verifier: ScramVerifier.mock(salt) }))).toBeNull();
  });
});

describe('the client', () => {
  const salt = Buffer.alloc(16, 7).toString('base64');

  test.each([
    ['nothing', ''],
    ['an error', 'e=other-error'],
    ['a nonce without its own', `r=xyzabc,s=${salt},i=10`],
    ['only its own nonce', `r=cnonce,s=${salt},i=10`],
    ['a nonce of a megabyte', `r=cnonce${'a'.repeat(1 << 20)},s=${salt},i=10`],
    ['a nonce with a space', `r=cnonce x,s=${salt},i=10`],
    ['no salt', 'r=cnonce1,i=10'],
    ['an empty salt', 'r=cnonce1,s=,i=10'],
    ['a salt that is not base64', 'r=cnonce1,s=****,i=10'],
    ['a salt of a megabyte', `r=cnonce1,s=${Buffer.alloc(1 << 20).toString('base64')},i=10`],
    ['no iterations', `r=cnonce1,s=${salt}`],
    ['zero iterations', `r=cnonce1,s=${salt},i=0`],
    ['negative iterations', `r=cnonce1,s=${salt},i=-1`],
    ['fractional iterations', `r=cnonce1,s=${salt},i=1e3`],
    ['2^31 iterations', `r=cnonce1,s=${salt},i=2147483648`],
    ['iterations beyond any integer', `r=cnonce1,s=${salt},i=${'9'.repeat(100)}`],
    ['a mandatory extension', `m=x,r=cnonce1,s=${salt},i=10`],
  ])('gives up before it computes anything when the server sends %s', async (_, serverFirst) => {
    const client = clientWith({ nonce: 'cnonce', keysFor: () => Promise.reject(new Error('keys were asked for')) });
    await expect(client.final(serverFirst)).rejects.toThrow(ScramServerError);
  });

  test('computes at most the iterations of its limit', async () => {
    const asked: number[] = [];
    const keysFor = (_: Buffer, iterations: number): Promise<ScramKeys> => {
      asked.push(iterations);
      return Promise.resolve(keys);
    };
    await clientWith({ keysFor }).final(`r=abcx,s=${salt},i=${MAX_SCRAM_ITERATIONS}`);
    await expect(clientWith({ keysFor }).final(`r=abcx,s=${salt},i=${MAX_SCRAM_ITERATIONS + 1}`)).rejects.toThrow(
      'over the limit',
    );
    expect(asked).toEqual([MAX_SCRAM_ITERATIONS]);
  });

  test.each([
    ['nothing', ''],
    ['no signature', 'v='],
    ['another signature', `v=${Buffer.alloc(32).toString('base64')}`],
    ['a signature that is too short', 'v=AAAA'],
    ['an error', 'e=invalid-proof'],
    ['an error with control characters', 'e=\n\u001b[31m'],
  ])('does not believe a server that ends with %s', async (_, serverFinal) => {
    const server = serverWith({});
    const client = clientWith({});
    server.final(await client.final(server.first(client.first())));
    expect(() => client.verify(serverFinal)).toThrow(ScramServerError);
  });

  test('does not believe a server before the exchange', () => {
    expect(() => clientWith({}).verify(`v=${Buffer.alloc(32).toString('base64')}`)).toThrow(ScramServerError);
  });
});

describe('a verifier in text', () => {
  const valid =
    'SCRAM-SHA-256$4096:bMflDT5Mk1jJRwNyWMQKAQ==$Lj6Mbz0SXKkXQpvnYDhl1pGgbFLOBpT10V6VQ4nFmn8=:3ZWfN1TzbpaOqKJS5CC0nA2jcWJ0cEO8Y0lzTOpjoTI=';

  test('is read as PostgreSQL writes it', () => {
    const verifier = parseScramVerifier(valid);
    expect(verifier?.iterations).toBe(4096);
    expect(verifier?.salt.toString('base64')).toBe('bMflDT5Mk1jJRwNyWMQKAQ==');
  });

  test.each([
    '',
    'SCRAM-SHA-256',
    'md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    valid.replace('256', '512'),
    valid.replace('4096', '0'),
    valid.replace('4096', '-1'),
    valid.replace('4096', '2147483648'),
    valid.replace('4096', '99999999999'),
    valid.replace('bMfl', '*Mfl'),
    valid.replace('Lj6M', ''),
    valid.replace(/:[^:]*$/, ''),
    `${valid}AAAA`,
    `${valid} `,
    `${valid}\n`,
  ])('is not read when it is %j', (text) => {
    expect(parseScramVerifier(text)).toBeNull();
  });
});

function serverWith(options: Partial<ConstructorParameters<typeof ScramServer>[0]>): ScramServer {
  return new ScramServer({
    mechanism: SCRAM_SHA_256,
    verifier: keys.verifier(),
    nonce: 'snonce',
    endPointHash: null,
    ...options,
  });
}

function clientWith(options: {
  nonce?: string;
  channelBinding?: ClientChannelBinding;
  keysFor?: (salt: Buffer, iterations: number) => Promise<ScramKeys>;
}): ScramClient {
  return new ScramClient({ nonce: 'abc', channelBinding: 'unsupported', keysFor: () => Promise.resolve(keys), ...options });
}

/** Runs a whole exchange; null when the server refuses the proof. */
async function exchange(client: ScramClient, server: ScramServer): Promise<ScramKeys | null> {
  const proven = server.final(await client.final(server.first(client.first())));
  if (proven === null) return null;
  client.verify(proven.serverFinal);
  return proven.keys;
}
