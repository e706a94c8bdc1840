import type { Credential } from '../auth/credential.ts';
import { md5Response, md5Verifier } from '../auth/md5.ts';
import { type ClientChannelBinding, ScramClient, ScramServerError } from '../auth/scram-client.ts';
import type { ScramKeys } from '../auth/scram-keys.ts';
import { SCRAM_SHA_256, SCRAM_SHA_256_PLUS } from '../auth/scram-server.ts';
import { type Authentication, decodeAuthentication } from '../protocol/backend-decoders.ts';
import { encodePassword, encodeSaslInitialResponse, encodeSaslResponse } from '../protocol/frontend-encoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { assertNever } from '../util/assert.ts';
import { OperationalError } from '../util/errors.ts';

export interface BackendAuthenticationOptions {
  /** One character for each byte. */
  readonly user: string;
  readonly credential: Credential;
  /** The client's part of a SCRAM nonce. */
  readonly nonce: string;
  readonly tls: boolean;
  /** Hash of the backend's certificate where it has one. */
  readonly endPointHash: Buffer | null;
}

/**
 * Answers what a backend asks before it lets us in. A backend asks once, and by one method; anything else is somebody who
 * only plays a backend. With SCRAM the backend, too, must prove that it knows the verifier before it is believed.
 * Source: pg_fe_sendauth in src/interfaces/libpq/fe-auth.c.
 */
export class BackendAuthentication {
  readonly #options: BackendAuthenticationOptions;
  #stage: 'nothing asked' | 'answered' | 'scram begun' | 'scram answered' | 'over' = 'nothing asked';
  #scram: ScramClient | null = null;

  constructor(options: BackendAuthenticationOptions) {
    this.#options = options;
  }

  /** AuthenticationOk was received, and rightly so. */
  get over(): boolean {
    return this.#stage === 'over';
  }

  /**
   * Takes an Authentication message; returns what to send, or null for nothing.
   * @throws ProtocolError when the backend breaks the protocol or does not prove itself; OperationalError
   *   `backend_login_failed` when the credential cannot answer the question
   */
  async answer(message: Buffer): Promise<Buffer | null> {
    const asked = decodeAuthentication(message, 0, message.length);
    switch (asked.kind) {
      case 'ok':
        if (this.#stage !== 'nothing asked' && this.#stage !== 'answered') throw unexpected(asked);
        this.#stage = 'over';
        return null;
      case 'cleartext password':
        this.#enter('nothing asked', 'answered', asked);
        return encodePassword(this.#password('a readable password'));
      case 'md5 password':
        this.#enter('nothing asked', 'answered', asked);
        return encodePassword(this.#md5(asked.saltSlice));
      case 'sasl':
        this.#enter('nothing asked', 'scram begun', asked);
        return this.#beginScram(asked.mechanisms);
      case 'sasl continue':
        this.#enter('scram begun', 'scram answered', asked);
        return await this.#continueScram(asked.dataSlice.toString('latin1'));
      case 'sasl final':
        this.#enter('scram answered', 'answered', asked);
        this.#endScram(asked.dataSlice.toString('latin1'));
        return null;
      case 'unsupported':
        throw this.#cannot(`authentication method ${asked.code}`);
      default:
        return assertNever(asked, 'authentication request');
    }
  }

  #enter(
    from: 'nothing asked' | 'scram begun' | 'scram answered',
    to: 'answered' | 'scram begun' | 'scram answered',
    asked: Authentication,
  ): void {
    if (this.#stage !== from) throw unexpected(asked);
    this.#stage = to;
  }

  #password(wanted: string): string {
    const { credential } = this.#options;
    if (credential.kind !== 'password') throw this.#cannot(wanted);
    return credential.password.reveal();
  }

  #md5(salt: Buffer): string {
    const { credential, user } = this.#options;
    if (credential.kind === 'md5') return md5Response(credential.verifier, salt);
    if (credential.kind === 'password') return md5Response(md5Verifier(credential.bytes(), user), salt);
    throw this.#cannot('an md5 password');
  }

  #beginScram(mechanisms: readonly string[]): Buffer {
    const plus = mechanisms.includes(SCRAM_SHA_256_PLUS);
    const { credential, nonce } = this.#options;
    if (credential.kind !== 'password' && credential.kind !== 'scram keys') throw this.#cannot('SCRAM-SHA-256');
    const channelBinding = this.#channelBinding(plus);
    const mechanism = typeof channelBinding === 'string' ? SCRAM_SHA_256 : SCRAM_SHA_256_PLUS;
    if (!mechanisms.includes(mechanism)) throw this.#cannot('a SASL mechanism that pgweir does not know');
    this.#scram = new ScramClient({
      nonce,
      channelBinding,
      keysFor: (salt, iterations) =>
        credential.kind === 'password'
          ? credential.keysFor(salt, iterations)
          : Promise.resolve(this.#passedThrough(credential.keys, salt, iterations)),
    });
    return encodeSaslInitialResponse(mechanism, Buffer.from(this.#scram.first(), 'latin1'));
  }

  /** A certificate without a hash of its own (Ed25519) cannot be bound to; claiming that none was offered would be a lie. */
  #channelBinding(plusOffered: boolean): ClientChannelBinding {
    const { tls, endPointHash } = this.#options;
    if (!tls) {
      if (plusOffered) throw violation('the backend offers channel binding on a connection without TLS');
      return 'unsupported';
    }
    if (endPointHash === null) return 'unsupported';
    return plusOffered ? { endPointHash } : 'not offered';
  }

  #passedThrough(keys: ScramKeys, salt: Buffer, iterations: number): ScramKeys {
    if (keys.iterations === iterations && keys.salt.equals(salt)) return keys;
    throw new OperationalError(
      'backend_login_failed',
      `role "${this.#options.user}" has another SCRAM verifier on this backend than the client logged in with`,
      { hint: 'If the password was changed, reconnect; otherwise the verifier must be the same on all backends.' },
    );
  }

  async #continueScram(serverFirst: string): Promise<Buffer> {
    try {
      const clientFinal = await this.#begun().final(serverFirst);
      return encodeSaslResponse(Buffer.from(clientFinal, 'latin1'));
    } catch (error) {
      throw error instanceof ScramServerError ? violation(error.message) : error;
    }
  }

  #endScram(serverFinal: string): void {
    try {
      this.#begun().verify(serverFinal);
    } catch (error) {
      throw error instanceof ScramServerError ? violation(error.message) : error;
    }
  }

  #begun(): ScramClient {
    if (this.#scram === null) throw violation('SASL was not begun');
    return this.#scram;
  }

  #cannot(wanted: string): OperationalError {
    const { user, credential } = this.#options;
    const has = { password: 'a password', 'scram keys': 'SCRAM keys', md5: 'an md5 hash', none: 'nothing' }[credential.kind];
    return new OperationalError(
      'backend_login_failed',
      `a backend asks role "${user}" for ${wanted}, but pgweir knows ${has} of it`,
    );
  }
}

function unexpected(asked: Authentication): ProtocolError {
  return violation(`unexpected authentication request from the backend: ${asked.kind}`);
}

function violation(text: string): ProtocolError {
  return new ProtocolError('backend_protocol_violation', text);
}
