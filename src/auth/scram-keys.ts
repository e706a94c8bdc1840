import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { saslPrep } from './saslprep.ts';

const pbkdf2Async = promisify(pbkdf2);

/** Bytes of every key, proof and signature of SCRAM-SHA-256. */
export const SCRAM_KEY_BYTES = 32;

/** Iterations of verifiers that pgweir makes itself. Source: SCRAM_SHA_256_DEFAULT_ITERATIONS in scram-common.h. */
export const SCRAM_DEFAULT_ITERATIONS = 4_096;

/**
 * Largest iteration count that pgweir computes: about half a second of one core. A backend (or who plays one) chooses the
 * count, so without a bound it chooses how long our cores work (RUSTSEC-2026-0179). Ours.
 */
export const MAX_SCRAM_ITERATIONS = 1_000_000;

/** Bytes of salts that pgweir makes itself. Source: SCRAM_DEFAULT_SALT_LEN in scram-common.h. */
export const SCRAM_SALT_BYTES = 16;

/** Longest salt that is accepted. Ours; PostgreSQL's is 16. */
export const MAX_SCRAM_SALT_BYTES = 1_024;

/**
 * What a client of SCRAM-SHA-256 must have to log in where a verifier with this salt and iteration count is stored. Made
 * from a password, or won from a client's proof (pass-through). As good as the password there, so nothing shows it.
 * Source: RFC 5802 section 3.
 */
export class ScramKeys {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly #clientKey: Buffer;
  readonly #serverKey: Buffer;

  constructor(salt: Buffer, iterations: number, keys: { readonly clientKey: Buffer; readonly serverKey: Buffer }) {
    this.salt = salt;
    this.iterations = iterations;
    this.#clientKey = keys.clientKey;
    this.#serverKey = keys.serverKey;
  }

  /** ClientProof for an exchange. */
  proof(authMessage: string): Buffer {
    return xor(this.#clientKey, hmac(sha256(this.#clientKey), authMessage));
  }

  /** Whether the server proved, too, that it knows the verifier. Constant time. */
  isServerSignature(authMessage: string, signature: Buffer): boolean {
    return equalBytes(hmac(this.#serverKey, authMessage), signature);
  }

  /** What a server stores for these keys. */
  verifier(): ScramVerifier {
    const keys = { storedKey: sha256(this.#clientKey), serverKey: this.#serverKey };
    return new ScramVerifier(this.salt, this.iterations, keys);
  }
}

/** What a server stores of a password for SCRAM-SHA-256. Its keys are never shown: with them one could play the server. */
export class ScramVerifier {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly #storedKey: Buffer;
  readonly #serverKey: Buffer;

  constructor(salt: Buffer, iterations: number, keys: { readonly storedKey: Buffer; readonly serverKey: Buffer }) {
    this.salt = salt;
    this.iterations = iterations;
    this.#storedKey = keys.storedKey;
    this.#serverKey = keys.serverKey;
  }

  /** One that no proof fits, for users that cannot log in but must not be told apart. Source: mock_scram_secret in auth-scram.c. */
  static mock(salt: Buffer): ScramVerifier {
    const nothing = Buffer.alloc(SCRAM_KEY_BYTES);
    return new ScramVerifier(salt, SCRAM_DEFAULT_ITERATIONS, { storedKey: nothing, serverKey: nothing });
  }

  /** The client's keys when `proof` proves that it has them, otherwise null. Constant time. */
  keysOf(authMessage: string, proof: Buffer): ScramKeys | null {
    if (proof.length !== SCRAM_KEY_BYTES) return null;
    const clientKey = xor(proof, hmac(this.#storedKey, authMessage));
    if (!timingSafeEqual(sha256(clientKey), this.#storedKey)) return null;
    return new ScramKeys(this.salt, this.iterations, { clientKey, serverKey: this.#serverKey });
  }

  /** Whether it was made from the password that `keys` were made from, with the same salt and iterations. Constant time. */
  isMadeOf(keys: ScramKeys): boolean {
    return timingSafeEqual(keys.verifier().#storedKey, this.#storedKey);
  }

  serverSignature(authMessage: string): Buffer {
    return hmac(this.#serverKey, authMessage);
  }
}

const VERIFIER = /^SCRAM-SHA-256\$([1-9]\d{0,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)$/;

/** Reads a verifier in PostgreSQL's text form; null when it is none. Source: parse_scram_secret in auth-scram.c. */
export function parseScramVerifier(text: string): ScramVerifier | null {
  const match = VERIFIER.exec(text);
  if (match === null) return null;
  const iterations = Number(match[1]);
  const [salt, storedKey, serverKey] = [match[2], match[3], match[4]].map((part) => decodeBase64(part ?? ''));
  if (!salt || !storedKey || !serverKey || iterations > 0x7fff_ffff) return null;
  if (storedKey.length !== SCRAM_KEY_BYTES || serverKey.length !== SCRAM_KEY_BYTES) return null;
  return new ScramVerifier(salt, iterations, { storedKey, serverKey });
}

/**
 * Derives the keys of a password. Runs on the thread pool: the event loop does not wait.
 *
 * @param password bytes as the user gave them; SASLprep is applied here
 * @param iterations at most {@link MAX_SCRAM_ITERATIONS}; the caller has checked
 */
export async function deriveScramKeys(password: Buffer, salt: Buffer, iterations: number): Promise<ScramKeys> {
  const salted = await pbkdf2Async(saslPrep(password), salt, iterations, SCRAM_KEY_BYTES, 'sha256');
  return new ScramKeys(salt, iterations, { clientKey: hmac(salted, 'Client Key'), serverKey: hmac(salted, 'Server Key') });
}

/** Compares in a time that depends on the lengths only. */
export function equalBytes(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Strict base64 with padding; null for anything else. */
export function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

/** The SHA-256 digest. */
export function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** @param text one character for each byte */
function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'latin1').digest();
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ (right[index] ?? 0)));
}
