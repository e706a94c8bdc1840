import type { Secret } from '../util/secret.ts';
import { deriveScramKeys, type ScramKeys } from './scram-keys.ts';

/** What pgweir can show a backend on behalf of a user. */
export type Credential =
  | PasswordCredential
  /** Won from the client's proof: good wherever the same verifier is stored. */
  | { readonly kind: 'scram keys'; readonly keys: ScramKeys }
  /** An md5 verifier: good for md5 logins of this user name. */
  | { readonly kind: 'md5'; readonly verifier: Secret }
  /** The user was trusted and nothing is known. */
  | { readonly kind: 'none' };

/**
 * A password. Remembers the last keys derived from it: the connections of one pool log in to verifiers that replicas
 * share, and only the first of them pays for the derivation.
 */
export class PasswordCredential {
  readonly kind = 'password';
  /** One character for each byte. */
  readonly password: Secret;
  #derived: { readonly salt: Buffer; readonly iterations: number; readonly keys: Promise<ScramKeys> } | null = null;

  constructor(password: Secret) {
    this.password = password;
  }

  bytes(): Buffer {
    return Buffer.from(this.password.reveal(), 'latin1');
  }

  keysFor(salt: Buffer, iterations: number): Promise<ScramKeys> {
    if (this.#derived === null || this.#derived.iterations !== iterations || !this.#derived.salt.equals(salt)) {
      this.#derived = { salt, iterations, keys: deriveScramKeys(this.bytes(), salt, iterations) };
    }
    return this.#derived.keys;
  }
}
