import { describe, expect, test } from 'vitest';
import { type AuthAnswer, Authenticator, type AuthRequest, type AuthStep } from '../../../src/auth/authentication.ts';
import { md5Response, md5Verifier } from '../../../src/auth/md5.ts';
import type { RoleVerifier } from '../../../src/auth/role-verifier.ts';
import { type AuthMethod, authRule } from '../../../src/auth/rules.ts';
import { ScramClient } from '../../../src/auth/scram-client.ts';
import { deriveScramKeys } from '../../../src/auth/scram-keys.ts';
import { type ConfiguredUser, UserStore } from '../../../src/auth/users.ts';
import { OperationalError } from '../../../src/util/errors.ts';
import { Secret } from '../../../src/util/secret.ts';

/** What PostgreSQL 18 stored for a role named `role` with the password `right`. */
const SCRAM =
  'SCRAM-SHA-256$4096:ZCYPksbVKmmvX9wbtAhxLQ==$hh8xlFLzfoKKMz72SsC80xeLlaat3Mluvb18ItQy+Qo=:RfETbvmkrUKKJ1L3ENKaYGIUuFgPfDnJbFVTTfVoSGo=';
const MD5 = 'md531eeb1fdb29bc080e56445195cc848f3';
const METHODS: readonly AuthMethod[] = ['scram-sha-256', 'md5', 'password'];

describe.each(METHODS)('with the method %s', (method) => {
  test.each([
    ['a password of the configuration', { users: [configured('right')] }, 'password'],
    [
      'a SCRAM verifier of the configuration',
      { users: [configured(null, SCRAM)] },
      { md5: 'scram keys', 'scram-sha-256': 'scram keys', password: 'password' },
    ],
    [
      'a SCRAM verifier of the cluster',
      { role: roleWith(SCRAM) },
      { md5: 'scram keys', 'scram-sha-256': 'scram keys', password: 'password' },
    ],
    [
      'a password that is good for a while',
      { role: roleWith(SCRAM, { expiresAtMs: 1001 }) },
      { md5: 'scram keys', 'scram-sha-256': 'scram keys', password: 'password' },
    ],
  ])('the right password is accepted by %s, a wrong one is not', async (_, setup, credential) => {
    const accepted = await logIn({ method, ...setup }, 'right');
    expect(accepted).toMatchObject({ kind: 'accepted' });
    const kind = typeof credential === 'string' ? credential : Reflect.get(credential, method);
    expect(accepted.kind === 'accepted' && accepted.credential.kind).toBe(kind);
    expect(await logIn({ method, ...setup }, 'wrong')).toMatchObject(refusal('28P01', 'wrong password'));
  });

  test.each([
    ['there is no such role', null, 'role does not exist'],
    ['the role has no password', roleWith(null), 'role has no password'],
    ['the password expired a moment ago', roleWith(SCRAM, { expiresAtMs: 1000 }), 'password has expired'],
    ['the password expired long ago', roleWith(SCRAM, { expiresAtMs: Number.NEGATIVE_INFINITY }), 'password has expired'],
    ['the verifier is of an unknown kind', roleWith('SCRAM-SHA-512$...'), 'verifier is neither SCRAM-SHA-256 nor md5'],
    ['the verifier is an empty text', roleWith(''), 'verifier is neither SCRAM-SHA-256 nor md5'],
  ])('nobody is let in when %s, and the client is told what everybody is told', async (_, role, reason) => {
    expect(await logIn({ method, role }, 'right')).toMatchObject(refusal('28P01', reason));
    expect(await logIn({ method, role }, 'wrong')).toMatchObject(refusal('28P01', reason));
  });

  test('a role without LOGIN learns so only after it has proven itself', async () => {
    const role = roleWith(SCRAM, { canLogin: false });
    expect(await logIn({ method, role }, 'wrong')).toMatchObject(refusal('28P01', 'wrong password'));
    const refused = await logIn({ method, role }, 'right');
    expect(refused).toMatchObject({
      kind: 'refused',
      error: { sqlstate: '28000', severity: 'FATAL', message: 'role "role" is not permitted to log in' },
    });
  });

  test('that nobody can be asked for the verifier is not the fault of the client', async () => {
    const failure = new OperationalError('backend_unreachable', 'no backend');
    await expect(logIn({ method, role: failure }, 'right')).rejects.toBe(failure);
  });

  test('users of the configuration never cost a question to the cluster', async () => {
    const failure = new OperationalError('backend_unreachable', 'no backend');
    const users = [configured('right')];
    expect(await logIn({ method, users, role: failure }, 'right')).toMatchObject({ kind: 'accepted' });
    expect(await logIn({ method, users, role: failure }, 'wrong')).toMatchObject({ kind: 'refused' });
  });

  test('a user that does not exist is asked what one that does is asked', async () => {
    const known = await questions({ method, role: roleWith(SCRAM) }, 'wrong');
    const unknown = await questions({ method, role: null }, 'wrong');
    expect(unknown.map(({ kind }) => kind)).toEqual(known.map(({ kind }) => kind));
    const configuredOnly: Setup = { method, users: [configured('right')], source: false };
    const knownHere = await questions(configuredOnly, 'wrong');
    const unknownHere = await questions({ ...configuredOnly, user: 'another' }, 'wrong');
    expect(unknownHere.map(({ kind }) => kind)).toEqual(knownHere.map(({ kind }) => kind));
  });
});

test('an md5 verifier is good for md5 and for a readable password, and never for SCRAM', async () => {
  for (const setup of [{ users: [configured(null, MD5)] }, { role: roleWith(MD5) }]) {
    const accepted = await logIn({ method: 'md5', ...setup }, 'right');
    expect(accepted).toMatchObject({ kind: 'accepted', credential: { kind: 'md5' } });
    expect(await logIn({ method: 'md5', ...setup }, 'wrong')).toMatchObject(refusal('28P01', 'wrong password'));
    expect(await logIn({ method: 'password', ...setup }, 'right')).toMatchObject({
      kind: 'accepted',
      credential: { kind: 'password' },
    });
    expect(await logIn({ method: 'password', ...setup }, 'wrong')).toMatchObject(refusal('28P01', 'wrong password'));
    expect(await logIn({ method: 'scram-sha-256', ...setup }, 'right')).toMatchObject(refusal('28P01', 'wrong password'));
  }
});

test('the salt of a user is always the same, whether it exists or not, and differs between users', async () => {
  const salts = async (user: string, users: readonly ConfiguredUser[]) => {
    const asked = await questions({ method: 'scram-sha-256', user, users, source: false }, 'x');
    return asked.flatMap((question) => (question.kind === 'sasl continue' ? [/s=[^,]*,i=\d+/.exec(question.data)?.[0]] : []));
  };
  const unknown = await salts('role', []);
  expect(unknown).toEqual([expect.stringContaining(',i=4096')]);
  expect(await salts('role', [])).toEqual(unknown);
  expect(await salts('role', [configured('right')])).toEqual(unknown);
  expect(await salts('another', [])).not.toEqual(unknown);
});

test('a user that is trusted is asked nothing, and logs in to backends with what is known of it', async () => {
  const start = async (users: readonly ConfiguredUser[]) => logIn({ method: 'trust', users }, 'x');
  expect(await start([])).toMatchObject({ kind: 'accepted', credential: { kind: 'none' }, saslFinal: null });
  expect(await start([configured('right')])).toMatchObject({ credential: { kind: 'password' } });
  expect(await start([configured(null, MD5)])).toMatchObject({ credential: { kind: 'md5' } });
  expect(await start([configured(null, SCRAM)])).toMatchObject({ credential: { kind: 'none' } });
});

test('a rejecting rule refuses before anything is asked', async () => {
  expect(await logIn({ method: 'reject', users: [configured('right')] }, 'right')).toMatchObject({
    kind: 'refused',
    error: { sqlstate: '28000' },
    reason: 'rule 1',
  });
});

test.each<AuthMethod>(['md5', 'password'])('an empty password is refused with the method %s', async (method) => {
  const authentication = authenticatorOf({ method, users: [configured('right')] }).begin(originOf(), null);
  await authentication.start();
  expect(await authentication.answer({ kind: 'password', text: '' })).toMatchObject({
    kind: 'refused',
    error: { sqlstate: '28P01', message: 'empty password returned by client' },
  });
});

test.each<AuthMethod>(['md5', 'password'])(
  'a password that was just changed works at once with the method %s',
  async (method) => {
    const setup = { method, role: roleWith(md5Verifier(Buffer.from('old'), 'role').reveal()), afterDoubt: roleWith(MD5) };
    expect(await logIn(setup, 'right')).toMatchObject({ kind: 'accepted' });
  },
);

test('after a failed SCRAM proof the cluster is asked again', async () => {
  const store = new CountingSource(roleWith(SCRAM), roleWith(SCRAM));
  await logIn({ method: 'scram-sha-256', store }, 'wrong');
  expect(store.doubts).toEqual(['role']);
  await logIn({ method: 'scram-sha-256', store }, 'right');
  expect(store.doubts).toEqual(['role']);
});

test('each login proves itself anew: after a good one a bad one is still refused', async () => {
  for (const method of METHODS) {
    const authenticator = authenticatorOf({ method, role: roleWith(SCRAM) });
    for (const [password, outcome] of [
      ['right', 'accepted'],
      ['wrong', 'refused'],
      ['right', 'accepted'],
      ['', 'refused'],
    ] as const) {
      expect((await converse(authenticator, 'role', password)).last.kind).toBe(outcome);
    }
  }
});

describe('a SASL exchange', () => {
  const setup = { method: 'scram-sha-256', role: roleWith(SCRAM) } as const;

  test('offers channel binding where our certificate can be bound to', async () => {
    const begin = (hash: Buffer | null) => authenticatorOf(setup).begin(originOf(), hash).start();
    expect(await begin(null)).toMatchObject({ request: { mechanisms: ['SCRAM-SHA-256'] } });
    expect(await begin(Buffer.alloc(32))).toMatchObject({ request: { mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] } });
  });

  test.each(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1', '', 'scram-sha-256'])(
    'refuses the mechanism %j that was not offered',
    async (mechanism) => {
      const authentication = authenticatorOf(setup).begin(originOf(), null);
      await authentication.start();
      expect(await authentication.answer({ kind: 'sasl initial', mechanism, data: 'n,,n=,r=abc' })).toMatchObject({
        kind: 'refused',
        error: { sqlstate: '08P01', message: 'client selected an invalid SASL authentication mechanism' },
      });
    },
  );

  test('can begin without an initial response', async () => {
    const authentication = authenticatorOf(setup).begin(originOf(), null);
    await authentication.start();
    const empty = await authentication.answer({ kind: 'sasl initial', mechanism: 'SCRAM-SHA-256', data: null });
    expect(empty).toEqual({ kind: 'ask', request: { kind: 'sasl continue', data: '' } });
    expect(await authentication.answer({ kind: 'sasl response', data: 'n,,n=,r=abc' })).toMatchObject({ kind: 'ask' });
  });
});

interface Setup {
  readonly method: AuthMethod;
  readonly user?: string;
  readonly users?: readonly ConfiguredUser[];
  /** What the cluster answers. */
  readonly role?: RoleVerifier | OperationalError | null;
  readonly afterDoubt?: RoleVerifier;
  readonly store?: CountingSource;
  readonly source?: false;
}

class CountingSource {
  readonly doubts: string[] = [];
  readonly #first: RoleVerifier | OperationalError | null;
  readonly #later: RoleVerifier | OperationalError | null;

  constructor(first: RoleVerifier | OperationalError | null, later: RoleVerifier | OperationalError | null) {
    this.#first = first;
    this.#later = later;
  }

  lookup(): Promise<RoleVerifier | null> {
    const answer = this.doubts.length === 0 ? this.#first : this.#later;
    return answer instanceof OperationalError ? Promise.reject(answer) : Promise.resolve(answer);
  }

  doubt(user: string): void {
    this.doubts.push(user);
  }
}

function authenticatorOf({ method, users = [], role = null, afterDoubt, store, source }: Setup): Authenticator {
  const rule = authRule({ from: null, database: null, user: null, tls: null, method });
  const clock = { now: () => 1000, wallNow: () => 0, after: () => ({ cancel: () => undefined }) };
  const asked = store ?? new CountingSource(role, afterDoubt ?? role);
  const saltSecret = Secret.from('salt');
  const userStore = new UserStore({ users, source: source === false ? null : asked, saltSecret, clock });
  return new Authenticator({ rules: [rule], users: userStore, random: (bytes) => Buffer.alloc(bytes, 0x41) });
}

async function logIn(setup: Setup, password: string): Promise<AuthStep> {
  return (await converse(authenticatorOf(setup), setup.user ?? 'role', password)).last;
}

async function questions(setup: Setup, password: string): Promise<AuthRequest[]> {
  return (await converse(authenticatorOf(setup), setup.user ?? 'role', password)).asked;
}

/** Answers as a client with this password would. */
async function converse(
  authenticator: Authenticator,
  user: string,
  password: string,
): Promise<{ asked: AuthRequest[]; last: AuthStep }> {
  const authentication = authenticator.begin(originOf(user), null);
  const client = new ScramClient({
    nonce: 'client',
    channelBinding: 'unsupported',
    keysFor: (salt, iterations) => deriveScramKeys(Buffer.from(password), salt, iterations),
  });
  const asked: AuthRequest[] = [];
  let step = await authentication.start();
  while (step.kind === 'ask') {
    asked.push(step.request);
    step = await authentication.answer(await answerTo(step.request, user, password, client));
  }
  if (step.kind === 'accepted' && step.saslFinal !== null) client.verify(step.saslFinal);
  return { asked, last: step };
}

async function answerTo(request: AuthRequest, user: string, password: string, client: ScramClient): Promise<AuthAnswer> {
  switch (request.kind) {
    case 'password':
      return { kind: 'password', text: password };
    case 'md5':
      return { kind: 'password', text: md5Response(md5Verifier(Buffer.from(password), user), request.salt) };
    case 'sasl':
      return { kind: 'sasl initial', mechanism: 'SCRAM-SHA-256', data: client.first() };
    default:
      return { kind: 'sasl response', data: await client.final(request.data) };
  }
}

function originOf(user = 'role') {
  return { address: '10.1.2.3', database: 'db', user, tls: false };
}

function configured(password: string | null, verifier: string | null = null): ConfiguredUser {
  return {
    name: 'role',
    password: password === null ? null : Secret.from(password),
    verifier: verifier === null ? null : Secret.from(verifier),
  };
}

function roleWith(verifier: string | null, more: Partial<RoleVerifier> = {}): RoleVerifier {
  return { verifier: verifier === null ? null : Secret.from(verifier), expiresAtMs: null, canLogin: true, ...more };
}

/** The one text that every failure has. */
function refusal(sqlstate: string, reason: string): object {
  const message = 'password authentication failed for user "role"';
  return { kind: 'refused', error: { sqlstate, severity: 'FATAL', message, detail: null, hint: null }, reason };
}
