import type { Secret } from '../util/secret.ts';
import { isMd5Verifier } from './md5.ts';
import { parseScramVerifier, type ScramVerifier } from './scram-keys.ts';

/** What the cluster knows of a role that wants to log in. */
export interface RoleVerifier {
  /** `rolpassword`: a SCRAM or md5 verifier. Null: the role has no password. */
  readonly verifier: Secret | null;
  /** Local monotonic time (ms) at which the password expires (`VALID UNTIL`), null for never. */
  readonly expiresAtMs: number | null;
  /** `rolcanlogin` */
  readonly canLogin: boolean;
}

/** Where verifiers of roles come from when the configuration has none. User names have one character for each byte. */
export interface VerifierSource {
  /**
   * Null when there is no such role. May answer from a cache.
   * @throws OperationalError when nobody can be asked
   */
  lookup(user: string): Promise<RoleVerifier | null>;
  /** A proof failed against what `lookup` gave: the password may have changed. The next lookup should ask again. */
  doubt(user: string): void;
}

/** A stored verifier, understood. */
export type Shadow =
  | { readonly kind: 'scram'; readonly verifier: ScramVerifier }
  | { readonly kind: 'md5'; readonly verifier: Secret };

/** Understands a stored verifier; null when it is neither SCRAM-SHA-256 nor md5. Source: get_password_type in crypt.c. */
export function parseShadow(verifier: Secret): Shadow | null {
  if (isMd5Verifier(verifier.reveal())) return { kind: 'md5', verifier };
  const scram = parseScramVerifier(verifier.reveal());
  return scram === null ? null : { kind: 'scram', verifier: scram };
}
