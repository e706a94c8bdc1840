import { createHmac } from 'node:crypto';
import { assert } from '../util/assert.ts';
import type { Clock } from '../util/clock.ts';
import { Secret } from '../util/secret.ts';
import { toWireText } from '../util/wire-text.ts';
import { type Credential, PasswordCredential } from './credential.ts';
import { parseShadow, type Shadow, type VerifierSource } from './role-verifier.ts';
import { deriveScramKeys, SCRAM_DEFAULT_ITERATIONS, SCRAM_SALT_BYTES, ScramVerifier } from './scram-keys.ts';

/** A user of the configuration, in ordinary text; either a password or a verifier. */
export interface ConfiguredUser {
  readonly name: string;
  readonly password: Secret | null;
  /** `SCRAM-SHA-256$...` or `md5...` */
  readonly verifier: Secret | null;
}

/** What a login is checked against. Nobody can be logged in with `none`, and the client cannot tell it from the others. */
export interface Account {
  readonly shadow: PasswordShadow | Shadow | { readonly kind: 'none' };
  /** The role may log in (`LOGIN`), once it has proven who it is. */
  readonly canLogin: boolean;
  /** Why there is nothing to check against; for the log, never for the client. */
  readonly problem: string | null;
  readonly origin: 'configuration' | 'cluster';
}

/** A password from the configuration. */
export interface PasswordShadow {
  readonly kind: 'password';
  readonly credential: PasswordCredential;
}

export interface UserStoreOptions {
  readonly users: readonly ConfiguredUser[];
  /** Where users are looked up that the configuration does not have; null: nowhere. */
  readonly source: VerifierSource | null;
  /** Makes salts, so that a user that does not exist keeps its salt as one that does. The same for all workers. */
  readonly saltSecret: Secret;
  readonly clock: Clock;
}

/**
 * Users of the configuration first, then roles of the cluster. User names have one character for each byte.
 */
export class UserStore {
  readonly #configured: ReadonlyMap<string, ConfiguredAccount>;
  readonly #source: VerifierSource | null;
  readonly #saltSecret: Secret;
  readonly #clock: Clock;

  constructor(options: UserStoreOptions) {
    this.#source = options.source;
    this.#saltSecret = options.saltSecret;
    this.#clock = options.clock;
    this.#configured = new Map(options.users.map((user) => [toWireText(user.name), new ConfiguredAccount(user)]));
  }

  /** @throws OperationalError when the user is to be looked up and nobody can be asked */
  async find(user: string): Promise<Account> {
    const configured = this.#configured.get(user);
    if (configured !== undefined) {
      return { shadow: configured.shadow, canLogin: true, problem: null, origin: 'configuration' };
    }
    const role = this.#source === null ? null : await this.#source.lookup(user);
    if (role === null) return unusable('role does not exist', false);
    if (role.verifier === null) return unusable('role has no password', role.canLogin);
    if (role.expiresAtMs !== null && role.expiresAtMs <= this.#clock.now()) {
      return unusable('password has expired', role.canLogin);
    }
    const shadow = parseShadow(role.verifier);
    if (shadow === null) return unusable('verifier is neither SCRAM-SHA-256 nor md5', role.canLogin);
    return { shadow, canLogin: role.canLogin, problem: null, origin: 'cluster' };
  }

  /** A proof failed: a verifier of the cluster may be out of date. */
  doubt(user: string): void {
    if (!this.#configured.has(user)) this.#source?.doubt(user);
  }

  /** What is known of a user that need not prove anything. */
  trusted(user: string): Credential {
    const shadow = this.#configured.get(user)?.shadow;
    if (shadow?.kind === 'password') return shadow.credential;
    return shadow?.kind === 'md5' ? shadow : { kind: 'none' };
  }

  /**
   * What a client's SCRAM proof is checked against. Without anything to check against it is a mock with a salt that is
   * always the same for this name. Source: scram_mock_salt in src/backend/libpq/auth-scram.c.
   */
  scramVerifier(user: string, account: Account): Promise<ScramVerifier> {
    if (account.shadow.kind === 'scram') return Promise.resolve(account.shadow.verifier);
    const configured = this.#configured.get(user);
    if (configured?.shadow.kind === 'password') return configured.scramVerifier(this.#salt(user));
    return Promise.resolve(ScramVerifier.mock(this.#salt(user)));
  }

  /**
   * Which challenge the method `md5` begins with. As in PostgreSQL it allows both and the stored verifier decides; for
   * nobody it is the usual kind of where users come from.
   */
  md5MethodChallenge(account: Account): 'md5' | 'scram' {
    if (account.shadow.kind === 'none') return this.#source === null ? 'md5' : 'scram';
    return account.shadow.kind === 'scram' ? 'scram' : 'md5';
  }

  #salt(user: string): Buffer {
    const mac = createHmac('sha256', this.#saltSecret.reveal()).update(user, 'latin1').digest();
    return mac.subarray(0, SCRAM_SALT_BYTES);
  }
}

class ConfiguredAccount {
  readonly shadow: PasswordShadow | Shadow;
  /** Made of the password once, at the first login. */
  #scramVerifier: Promise<ScramVerifier> | null = null;

  constructor({ name, password, verifier }: ConfiguredUser) {
    if (password !== null) {
      const credential = new PasswordCredential(Secret.from(toWireText(password.reveal())));
      this.shadow = { kind: 'password', credential };
      return;
    }
    const shadow = verifier === null ? null : parseShadow(verifier);
    assert(shadow !== null, `user ${name} of the configuration has neither a password nor a verifier`);
    this.shadow = shadow;
  }

  scramVerifier(salt: Buffer): Promise<ScramVerifier> {
    assert(this.shadow.kind === 'password', 'only a password is made into a verifier');
    // Not through the credential, which remembers what backends ask for.
    this.#scramVerifier ??= deriveScramKeys(this.shadow.credential.bytes(), salt, SCRAM_DEFAULT_ITERATIONS).then((keys) =>
      keys.verifier(),
    );
    return this.#scramVerifier;
  }
}

function unusable(problem: string, canLogin: boolean): Account {
  return { shadow: { kind: 'none' }, canLogin, problem, origin: 'cluster' };
}
