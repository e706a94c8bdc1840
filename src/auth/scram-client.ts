import { decodeBase64, MAX_SCRAM_ITERATIONS, MAX_SCRAM_SALT_BYTES, type ScramKeys } from './scram-keys.ts';

/** Longest nonce that is accepted of a server. Ours; PostgreSQL's is 24 characters behind ours. */
const MAX_NONCE_CHARACTERS = 1_024;

/**
 * What is said of channel binding: `unsupported` without TLS, `not offered` over TLS when the server did not offer it (so
 * that a server which did can tell that somebody took the offer out), or the hash of the server's certificate.
 */
export type ClientChannelBinding = 'unsupported' | 'not offered' | { readonly endPointHash: Buffer };

export interface ScramClientOptions {
  /** The client's part of the nonce: printable, without commas. */
  readonly nonce: string;
  readonly channelBinding: ClientChannelBinding;
  /** Keys for a salt and an iteration count, from a password or won by pass-through. */
  readonly keysFor: (salt: Buffer, iterations: number) => Promise<ScramKeys>;
}

/** The server broke SCRAM, or did not prove that it knows the verifier. */
export class ScramServerError extends Error {
  override readonly name = 'ScramServerError';
}

/**
 * The client's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677). What a server sends is checked before anything is
 * computed with it. Texts have one character for each byte. All methods throw {@link ScramServerError}; `final` also
 * throws what `keysFor` throws. Source: src/interfaces/libpq/fe-auth-scram.c.
 */
export class ScramClient {
  readonly #options: ScramClientOptions;
  readonly #gs2Header: string;
  readonly #clientFirstBare: string;
  #keys: ScramKeys | null = null;
  #authMessage = '';

  constructor(options: ScramClientOptions) {
    this.#options = options;
    this.#gs2Header = gs2Header(options.channelBinding);
    // PostgreSQL takes the user of the startup packet, so no name is sent twice.
    this.#clientFirstBare = `n=,r=${options.nonce}`;
  }

  /** client-first-message */
  first(): string {
    return this.#gs2Header + this.#clientFirstBare;
  }

  /** @returns client-final-message, the answer to server-first-message */
  async final(serverFirst: string): Promise<string> {
    const { nonce, salt, iterations } = readServerFirst(serverFirst);
    const own = this.#options.nonce;
    if (!nonce.startsWith(own) || nonce.length === own.length) throw new ScramServerError('invalid SCRAM nonce');
    const keys = await this.#options.keysFor(salt, iterations);
    const withoutProof = `c=${this.#channelBindingInput().toString('base64')},r=${nonce}`;
    this.#keys = keys;
    this.#authMessage = `${this.#clientFirstBare},${serverFirst},${withoutProof}`;
    return `${withoutProof},p=${keys.proof(this.#authMessage).toString('base64')}`;
  }

  /** Checks server-final-message. The server is who it claims to be only if this returns. */
  verify(serverFinal: string): void {
    const match = SERVER_FINAL.exec(serverFinal);
    if (match === null) throw new ScramServerError(describeFailure(serverFinal));
    const signature = decodeBase64(match[1] ?? '');
    if (signature === null || this.#keys === null || !this.#keys.isServerSignature(this.#authMessage, signature)) {
      throw new ScramServerError('incorrect SCRAM server signature');
    }
  }

  #channelBindingInput(): Buffer {
    const { channelBinding } = this.#options;
    const header = Buffer.from(this.#gs2Header, 'latin1');
    return typeof channelBinding === 'string' ? header : Buffer.concat([header, channelBinding.endPointHash]);
  }
}

const SERVER_FIRST = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/=]+),i=([1-9]\d{0,9})(?:,[A-Za-z]=[^,]*)*$/;
const SERVER_FINAL = /^v=([A-Za-z0-9+/=]+)(?:,[A-Za-z]=[^,]*)*$/;

function readServerFirst(text: string): { nonce: string; salt: Buffer; iterations: number } {
  const match = SERVER_FIRST.exec(text);
  const [, nonce = '', saltText = '', iterationsText = ''] = match ?? [];
  const salt = decodeBase64(saltText);
  if (match === null || salt === null || nonce.length > MAX_NONCE_CHARACTERS || salt.length > MAX_SCRAM_SALT_BYTES) {
    throw new ScramServerError('malformed SCRAM message: server-first-message');
  }
  const iterations = Number(iterationsText);
  if (iterations > MAX_SCRAM_ITERATIONS) {
    throw new ScramServerError(`SCRAM iteration count ${iterations} is over the limit of ${MAX_SCRAM_ITERATIONS}`);
  }
  return { nonce, salt, iterations };
}

function gs2Header(channelBinding: ClientChannelBinding): string {
  if (channelBinding === 'unsupported') return 'n,,';
  return channelBinding === 'not offered' ? 'y,,' : 'p=tls-server-end-point,,';
}

function describeFailure(serverFinal: string): string {
  const error = /^e=([\x20-\x2b\x2d-\x7e]{1,100})/.exec(serverFinal);
  return error === null ? 'malformed SCRAM message: server-final-message' : `SCRAM failed at the server: ${error[1]}`;
}
