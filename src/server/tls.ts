import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type net from 'node:net';
import tls from 'node:tls';
import { endPointHash } from '../auth/channel-binding.ts';
import { ALPN_POSTGRESQL } from '../backend/tls.ts';

/** TLS towards clients as the configuration has it. Paths of PEM files. */
export interface ListenerTlsSettings {
  readonly certFile: string;
  readonly keyFile: string;
  /** By whom certificates of clients must be signed with `verify-client`. */
  readonly caFile: string | null;
  readonly mode: 'allow' | 'require' | 'verify-client';
}

/** A client's connection on which TLS stands. */
export interface SecuredClient {
  readonly socket: tls.TLSSocket;
  /** Hash of our certificate for channel binding, null where it has none. */
  readonly endPointHash: Buffer | null;
}

interface Loaded {
  readonly context: tls.SecureContext;
  readonly endPointHash: Buffer | null;
}

/**
 * Our side of TLS towards clients: certificate and key, read again on `reload` without touching connections that stand.
 */
export class ListenerTls {
  readonly #settings: ListenerTlsSettings;
  #loaded: Loaded;

  /** @throws Error when a file cannot be read, is not PEM, or key and certificate do not fit */
  constructor(settings: ListenerTlsSettings) {
    this.#settings = settings;
    this.#loaded = load(settings);
  }

  /** Clients without TLS are refused. */
  get required(): boolean {
    return this.#settings.mode !== 'allow';
  }

  /** Reads the files again for connections to come. When that fails it throws as the constructor does, and the old ones stay. */
  reload(): void {
    this.#loaded = load(this.#settings);
  }

  /**
   * Does the handshake. What the client sent already must be in the socket's buffer (`unshift`).
   * @param direct began with TLS instead of an SSLRequest: ALPN must then name the protocol, as with PostgreSQL 17
   * @throws Error when the handshake fails, with the reason for the log; the socket is then destroyed
   */
  async secure(socket: net.Socket, direct: boolean): Promise<SecuredClient> {
    const { context, endPointHash } = this.#loaded;
    const verify = this.#settings.mode === 'verify-client';
    const secured = new tls.TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: [ALPN_POSTGRESQL],
      requestCert: verify,
      rejectUnauthorized: verify,
    });
    await handshake(secured);
    const problem = verify ? verifyError(secured) : null;
    const missing = direct && secured.alpnProtocol !== ALPN_POSTGRESQL;
    if (problem === null && !missing) return { socket: secured, endPointHash };
    secured.destroy();
    throw problem ?? new Error('direct SSL connection without ALPN protocol negotiation extension');
  }
}

function load({ certFile, keyFile, caFile }: ListenerTlsSettings): Loaded {
  const cert = readFileSync(certFile);
  const ca = caFile === null ? {} : { ca: readFileSync(caFile) };
  const context = tls.createSecureContext({ cert, key: readFileSync(keyFile), ...ca });
  return { context, endPointHash: endPointHash(new X509Certificate(cert).raw) };
}

function handshake(secured: tls.TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure = new Error('the client closed the connection during the TLS handshake');
    const note = (error: Error): void => {
      failure = error;
    };
    const fail = (): void => reject(failure);
    // Errors are noted for good: one may come at any time, and nobody listening would end the process.
    secured.on('error', note);
    secured.once('_tlsError', note);
    secured.once('close', fail);
    secured.once('secure', () => {
      secured.removeListener('close', fail);
      resolve();
    });
  });
}

/**
 * Whether OpenSSL trusts the client's certificate. Node does this only in `tls.Server`, which cannot take over a connection
 * that already spoke; so the same question is asked here of the same place (onServerSocketSecure in lib/_tls_wrap.js).
 */
function verifyError(secured: tls.TLSSocket): Error | null {
  const { ssl } = secured as unknown as { readonly ssl?: { verifyError(): Error | null } };
  if (ssl === undefined) return new Error('the certificate of the client cannot be verified');
  return ssl.verifyError() ?? null;
}
