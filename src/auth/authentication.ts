import { assert } from '../util/assert.ts';
import { OperationalError } from '../util/errors.ts';
import { Secret } from '../util/secret.ts';
import { type Credential, PasswordCredential } from './credential.ts';
import { MD5_SALT_BYTES, md5Response, md5Verifier } from './md5.ts';
import { type AuthRule, matchRules, type Origin, rejection } from './rules.ts';
import { deriveScramKeys, equalBytes, MAX_SCRAM_ITERATIONS } from './scram-keys.ts';
import { SCRAM_NONCE_BYTES, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramServer } from './scram-server.ts';
import type { Account, UserStore } from './users.ts';

/** What a client is asked. Texts here and below have one character for each byte. */
export type AuthRequest =
  | { readonly kind: 'password' }
  | { readonly kind: 'md5'; readonly salt: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl continue'; readonly data: string };

/** What a client answers: `password` to the first two, `sasl initial` to the third, `sasl response` to the last. */
export type AuthAnswer =
  | { readonly kind: 'password'; readonly text: string }
  | { readonly kind: 'sasl initial'; readonly mechanism: string; readonly data: string | null }
  | { readonly kind: 'sasl response'; readonly data: string };

export type AuthStep =
  | { readonly kind: 'ask'; readonly request: AuthRequest }
  /** `saslFinal` is to be sent before AuthenticationOk. */
  | { readonly kind: 'accepted'; readonly credential: Credential; readonly saslFinal: string | null }
  /** `error` is for the client, `reason` for the log: what the client must not learn, such as that there is no such role. */
  | { readonly kind: 'refused'; readonly error: OperationalError; readonly reason: string };

export interface AuthenticatorOptions {
  readonly rules: readonly AuthRule[];
  readonly users: UserStore;
  readonly random: (bytes: number) => Buffer;
}

/** Who may log in, and how: made once for a configuration. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** @param endPointHash hash of our certificate when the client came over TLS and the certificate has one */
  begin(origin: Origin, endPointHash: Buffer | null): Authentication {
    return new Authentication(this.#options, origin, endPointHash);
  }
}

/** What the next answer means. */
type Stage =
  | { readonly kind: 'start' }
  | { readonly kind: 'password' }
  | { readonly kind: 'md5'; readonly account: Account; readonly salt: Buffer }
  | { readonly kind: 'sasl initial'; readonly account: Account }
  | { readonly kind: 'sasl first'; readonly account: Account; readonly server: ScramServer }
  | { readonly kind: 'sasl last'; readonly account: Account; readonly server: ScramServer }
  | { readonly kind: 'over' };

/**
 * One client's proof of who it is: `start`, then `answer` until it is accepted or refused. Users that do not exist, have no
 * password or an expired one are asked the same as all others and fail at the end.
 * Source: ClientAuthentication in src/backend/libpq/auth.c.
 */
export class Authentication {
  readonly #options: AuthenticatorOptions;
  readonly #origin: Origin;
  readonly #endPointHash: Buffer | null;
  #stage: Stage = { kind: 'start' };

  constructor(options: AuthenticatorOptions, origin: Origin, endPointHash: Buffer | null) {
    this.#options = options;
    this.#origin = origin;
    this.#endPointHash = endPointHash;
  }

  /** @throws OperationalError when the user is to be looked up in the cluster and nobody can be asked */
  async start(): Promise<AuthStep> {
    assert(this.#stage.kind === 'start', 'an authentication starts once');
    const { rules, users } = this.#options;
    const { method, rule } = matchRules(rules, this.#origin);
    switch (method) {
      case 'reject':
        return this.#refuse(rejection(this.#origin, rule), rule === null ? 'no rule' : `rule ${rule + 1}`);
      case 'trust':
        return this.#accept(users.trusted(this.#origin.user), null);
      case 'password':
        return this.#ask({ kind: 'password' }, { kind: 'password' });
      case 'md5': {
        const account = await users.find(this.#origin.user);
        return users.md5MethodChallenge(account) === 'md5' ? this.#askMd5(account) : this.#askSasl(account);
      }
      default:
        return this.#askSasl(await users.find(this.#origin.user));
    }
  }

  /** @throws OperationalError as `start` does */
  async answer(answer: AuthAnswer): Promise<AuthStep> {
    const stage = this.#stage;
    try {
      if (answer.kind === 'password') {
        if (stage.kind === 'password') return await this.#checkPassword(answer.text);
        assert(stage.kind === 'md5', 'a password was not asked for');
        return await this.#checkMd5(stage.account, stage.salt, answer.text);
      }
      if (answer.kind === 'sasl initial') {
        assert(stage.kind === 'sasl initial', 'a SASL mechanism was not asked for');
        return await this.#beginSasl(stage.account, answer.mechanism, answer.data);
      }
      if (stage.kind === 'sasl first') return this.#saslFirst(stage.account, stage.server, answer.data);
      assert(stage.kind === 'sasl last', 'a SASL response was not asked for');
      return this.#saslLast(stage.account, stage.server, answer.data);
    } catch (error) {
      // The client's own fault is a refusal; that nobody can be asked is the caller's to tell.
      if (error instanceof OperationalError && isClientsFault(error)) return this.#refuse(error, error.message);
      throw error;
    }
  }

  #askMd5(account: Account): AuthStep {
    const salt = this.#options.random(MD5_SALT_BYTES);
    return this.#ask({ kind: 'md5', salt }, { kind: 'md5', account, salt });
  }

  #askSasl(account: Account): AuthStep {
    return this.#ask({ kind: 'sasl', mechanisms: this.#mechanisms() }, { kind: 'sasl initial', account });
  }

  #mechanisms(): readonly string[] {
    return this.#endPointHash === null ? [SCRAM_SHA_256] : [SCRAM_SHA_256_PLUS, SCRAM_SHA_256];
  }

  async #beginSasl(account: Account, mechanism: string, data: string | null): Promise<AuthStep> {
    if (!this.#mechanisms().includes(mechanism)) {
      throw new OperationalError('protocol_violation', 'client selected an invalid SASL authentication mechanism');
    }
    const { users, random } = this.#options;
    const server = new ScramServer({
      mechanism,
      verifier: await users.scramVerifier(this.#origin.user, account),
      nonce: random(SCRAM_NONCE_BYTES).toString('base64'),
      endPointHash: this.#endPointHash,
    });
    // Without an initial response the client wants an empty challenge first (RFC 4422 section 3).
    if (data === null) return this.#ask({ kind: 'sasl continue', data: '' }, { kind: 'sasl first', account, server });
    return this.#saslFirst(account, server, data);
  }

  #saslFirst(account: Account, server: ScramServer, data: string): AuthStep {
    return this.#ask({ kind: 'sasl continue', data: server.first(data) }, { kind: 'sasl last', account, server });
  }

  #saslLast(account: Account, server: ScramServer, data: string): AuthStep {
    const proven = server.final(data);
    if (proven === null) return this.#fail(account);
    const { shadow } = account;
    // Keys are good for one salt only; a password is good for that of every backend.
    const credential: Credential = shadow.kind === 'password' ? shadow.credential : { kind: 'scram keys', keys: proven.keys };
    return this.#login(account, credential, proven.serverFinal);
  }

  #checkMd5(account: Account, salt: Buffer, text: string): Promise<AuthStep> {
    refuseEmpty(text);
    const { user } = this.#origin;
    return this.#checkTwice(account, ({ shadow }) => {
      if (shadow.kind !== 'password' && shadow.kind !== 'md5') return null;
      const verifier = shadow.kind === 'md5' ? shadow.verifier : md5Verifier(shadow.credential.bytes(), user);
      if (!equalBytes(Buffer.from(md5Response(verifier, salt), 'latin1'), Buffer.from(text, 'latin1'))) return null;
      return shadow.kind === 'md5' ? shadow : shadow.credential;
    });
  }

  async #checkPassword(text: string): Promise<AuthStep> {
    refuseEmpty(text);
    const { users } = this.#options;
    const { user } = this.#origin;
    const password = Buffer.from(text, 'latin1');
    const given = new PasswordCredential(Secret.from(text));
    return this.#checkTwice(await users.find(user), async (account) => {
      const { shadow } = account;
      if (shadow.kind === 'md5') {
        const expected = Buffer.from(shadow.verifier.reveal(), 'latin1');
        return equalBytes(Buffer.from(md5Verifier(password, user).reveal(), 'latin1'), expected) ? given : null;
      }
      // Also for nobody: the derivation takes the time by which one could tell.
      const verifier = await users.scramVerifier(user, account);
      if (verifier.iterations > MAX_SCRAM_ITERATIONS) return null;
      if (!verifier.isMadeOf(await deriveScramKeys(password, verifier.salt, verifier.iterations))) return null;
      return shadow.kind === 'password' ? shadow.credential : given;
    });
  }

  /** A password that is wrong by a remembered verifier may be right by the present one: the cluster is asked again. */
  async #checkTwice(account: Account, check: Check): Promise<AuthStep> {
    const credential = await check(account);
    if (credential !== null) return this.#login(account, credential, null);
    if (account.origin === 'configuration') return this.#fail(account);
    const { users } = this.#options;
    users.doubt(this.#origin.user);
    const fresh = await users.find(this.#origin.user);
    const second = sameShadow(account, fresh) ? null : await check(fresh);
    return second === null ? this.#fail(fresh) : this.#login(fresh, second, null);
  }

  #login(account: Account, credential: Credential, saslFinal: string | null): AuthStep {
    if (account.canLogin) return this.#accept(credential, saslFinal);
    const text = `role "${this.#origin.user}" is not permitted to log in`;
    return this.#refuse(new OperationalError('invalid_authorization', text), 'role has no LOGIN');
  }

  /** One text for all reasons. Source: auth_failed in src/backend/libpq/auth.c. */
  #fail(account: Account): AuthStep {
    this.#options.users.doubt(this.#origin.user);
    const text = `password authentication failed for user "${this.#origin.user}"`;
    return this.#refuse(new OperationalError('invalid_password', text), account.problem ?? 'wrong password');
  }

  #ask(request: AuthRequest, stage: Stage): AuthStep {
    this.#stage = stage;
    return { kind: 'ask', request };
  }

  #accept(credential: Credential, saslFinal: string | null): AuthStep {
    this.#stage = { kind: 'over' };
    return { kind: 'accepted', credential, saslFinal };
  }

  #refuse(error: OperationalError, reason: string): AuthStep {
    this.#stage = { kind: 'over' };
    return { kind: 'refused', error, reason };
  }
}

type Check = (account: Account) => Credential | null | Promise<Credential | null>;

/** Whether nothing changed between two lookups. A new SCRAM verifier always has a new salt. */
function sameShadow({ shadow: before }: Account, { shadow: after }: Account): boolean {
  if (before.kind === 'scram' && after.kind === 'scram') return before.verifier.salt.equals(after.verifier.salt);
  if (before.kind === 'md5' && after.kind === 'md5') return before.verifier.reveal() === after.verifier.reveal();
  return before.kind === after.kind;
}

/** Source: recv_password_packet in src/backend/libpq/auth.c. */
function refuseEmpty(password: string): void {
  if (password === '') throw new OperationalError('invalid_password', 'empty password returned by client');
}

function isClientsFault(error: OperationalError): boolean {
  return error.sqlstate.startsWith('28') || error.sqlstate === '08P01' || error.kind === 'unsupported_protocol';
}
