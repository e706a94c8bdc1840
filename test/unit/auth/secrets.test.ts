import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Authenticator } from '../../../src/auth/authentication.ts';
import { PasswordCredential } from '../../../src/auth/credential.ts';
import { md5Verifier } from '../../../src/auth/md5.ts';
import { deriveScramKeys } from '../../../src/auth/scram-keys.ts';
import { UserStore } from '../../../src/auth/users.ts';
import { Secret } from '../../../src/util/secret.ts';

const CANARY = 'canary-7f3a91';
const keys = await deriveScramKeys(Buffer.from(CANARY), Buffer.alloc(16), 2);
const clock = { now: () => 0, wallNow: () => 0, after: () => ({ cancel: () => undefined }) };
const user = { name: 'app', password: Secret.from(CANARY), verifier: null };
const users = new UserStore({ users: [user], source: null, saltSecret: Secret.from(CANARY), clock });
const account = await users.find('app');

/** Everything that tells who somebody is, in the forms that it could leak in. */
const secretTexts = [
  CANARY,
  Buffer.from(CANARY).toString('hex'),
  Buffer.from(CANARY).toString('base64'),
  md5Verifier(Buffer.from(CANARY), 'app').reveal().slice(3),
];

test.each([
  ['SCRAM keys', keys],
  ['a SCRAM verifier', keys.verifier()],
  ['a password credential', new PasswordCredential(Secret.from(CANARY))],
  ['an md5 verifier', { kind: 'md5', verifier: md5Verifier(Buffer.from(CANARY), 'app') }],
  ['a configured user', user],
  ['a user store', users],
  ['an account', account],
  ['what a trusted user logs in with', users.trusted('app')],
  ['an authenticator', new Authenticator({ rules: [], users, random: Buffer.alloc })],
])('%s shows nothing of its secret, however it is printed', (_, value) => {
  const options = { depth: 20, showHidden: true, getters: true } as const;
  const prints = [
    inspect(value, options),
    JSON.stringify(value),
    String(value),
    `${inspect(new Error('x', { cause: value }), options)}`,
  ];
  for (const print of prints) for (const secret of secretTexts) expect(print).not.toContain(secret);
  // Keys are bytes: none of 32 in a row may be shown either.
  for (const print of prints) expect(print).not.toMatch(/([0-9a-f]{2} ?){32}/);
});
