import { OperationalError } from '../util/errors.ts';
import { decodeBase64, equalBytes, SCRAM_KEY_BYTES, type ScramKeys, type ScramVerifier } from './scram-keys.ts';

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
export const SCRAM_SHA_256_PLUS = 'SCRAM-SHA-256-PLUS';

/** Random bytes of a nonce, before base64. Source: SCRAM_RAW_NONCE_LEN in scram-common.h. */
export const SCRAM_NONCE_BYTES = 18;

export interface ScramServerOptions {
  readonly mechanism: string;
  readonly verifier: ScramVerifier;
  /** The server's part of the nonce: printable, without commas. */
  readonly nonce: string;
  /** Hash of our certificate when the client came over TLS and the certificate has one (`tls-server-end-point`). */
  readonly endPointHash: Buffer | null;
}

/**
 * The server's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677): client-first in, server-first out, client-final
 * in, verdict out. Texts have one character for each byte. Malformed messages throw an OperationalError with PostgreSQL's
 * words; a wrong proof does not throw. Source: src/backend/libpq/auth-scram.c.
 */
export class ScramServer {
  readonly #options: ScramServerOptions;
  #gs2Header = '';
  #clientFirstBare = '';
  #serverFirst = '';
  #nonce = '';

  constructor(options: ScramServerOptions) {
    this.#options = options;
  }

  /** @returns server-first-message */
  first(clientFirst: string): string {
    const { verifier, nonce } = this.#options;
    const match = CLIENT_FIRST.exec(clientFirst);
    if (match === null) throw malformedFirst(clientFirst);
    const [, flag = '', authzid = '', bare = '', clientNonce = ''] = match;
    this.#checkChannelBindingFlag(flag);
    if (authzid !== '') {
      throw new OperationalError('unsupported_protocol', 'client uses authorization identity, but it is not supported');
    }
    if (!PRINTABLE.test(clientNonce)) {
      throw new OperationalError('protocol_violation', 'non-printable characters in SCRAM nonce');
    }
    this.#gs2Header = `${flag},,`;
    this.#clientFirstBare = bare;
    this.#nonce = clientNonce + nonce;
    this.#serverFirst = `r=${this.#nonce},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`;
    return this.#serverFirst;
  }

  /** @returns the client's keys and server-final-message, or null for a wrong proof */
  final(clientFinal: string): { readonly keys: ScramKeys; readonly serverFinal: string } | null {
    const match = CLIENT_FINAL.exec(clientFinal);
    if (match === null) throw malformed('Malformed client-final-message.');
    const [, withoutProof = '', channelBinding = '', nonce = '', proofText = ''] = match;
    this.#checkChannelBinding(channelBinding);
    if (!equalBytes(Buffer.from(nonce, 'latin1'), Buffer.from(this.#nonce, 'latin1'))) {
      throw new OperationalError('protocol_violation', 'invalid SCRAM response', { detail: 'Nonce does not match.' });
    }
    const proof = decodeBase64(proofText);
    if (proof === null || proof.length !== SCRAM_KEY_BYTES) throw malformed('Malformed proof in client-final-message.');
    const authMessage = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`;
    const { verifier } = this.#options;
    const keys = verifier.keysOf(authMessage, proof);
    if (keys === null) return null;
    return { keys, serverFinal: `v=${verifier.serverSignature(authMessage).toString('base64')}` };
  }

  #checkChannelBindingFlag(flag: string): void {
    const { mechanism, endPointHash } = this.#options;
    const plus = mechanism === SCRAM_SHA_256_PLUS;
    if (flag.startsWith('p=')) {
      if (!plus) {
        throw malformed(
          'The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data.',
        );
      }
      if (flag !== 'p=tls-server-end-point') {
        throw new OperationalError('protocol_violation', `unsupported SCRAM channel-binding type "${flag.slice(2)}"`);
      }
      return;
    }
    if (plus) {
      throw malformed('The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data.');
    }
    // `y` over TLS on which PLUS was offered: somebody between us took the offer out.
    if (flag === 'y' && endPointHash !== null) {
      throw new OperationalError('invalid_authorization', 'SCRAM channel binding negotiation error', {
        detail:
          'The client supports SCRAM channel binding but thinks the server does not.  However, this server does support channel binding.',
      });
    }
  }

  #checkChannelBinding(text: string): void {
    const { endPointHash } = this.#options;
    const header = Buffer.from(this.#gs2Header, 'latin1');
    if (!this.#gs2Header.startsWith('p')) {
      if (text === header.toString('base64')) return;
      throw new OperationalError('protocol_violation', 'unexpected SCRAM channel-binding attribute in client-final-message');
    }
    const expected = Buffer.concat([header, endPointHash ?? Buffer.alloc(0)]);
    if (endPointHash !== null && equalBytes(Buffer.from(text, 'latin1'), Buffer.from(expected.toString('base64')))) return;
    throw new OperationalError('invalid_authorization', 'SCRAM channel binding check failed');
  }
}

/** gs2-cbind-flag, authzid, client-first-message-bare with its nonce. The user name in it is ignored, as in PostgreSQL. */
const CLIENT_FIRST = /^(p=[A-Za-z0-9.-]+|n|y),(a=[^,]*)?,(n=[^,]*,r=([^,]+)(?:,[A-Za-z]=[^,]*)*)$/;

/** client-final-message-without-proof, channel binding, nonce, proof. Unknown extensions are allowed before the proof. */
const CLIENT_FINAL = /^(c=([^,]*),r=([^,]*)(?:,[A-Za-z]=[^,]*)*),p=([^,]*)$/;

const PRINTABLE = /^[\x21-\x2b\x2d-\x7e]+$/;

function malformedFirst(clientFirst: string): OperationalError {
  if (/^[^,]*,[^,]*,m=/.test(clientFirst)) {
    return new OperationalError('unsupported_protocol', 'client requires an unsupported SCRAM extension');
  }
  return malformed('Malformed client-first-message.');
}

function malformed(detail: string): OperationalError {
  return new OperationalError('protocol_violation', 'malformed SCRAM message', { detail });
}
