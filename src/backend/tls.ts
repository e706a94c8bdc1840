import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

/** libpq's `sslmode`. */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** TLS towards backends as the configuration has it. Paths of PEM files. */
export interface BackendTlsSettings {
  readonly mode: SslMode;
  /** By whom a backend's certificate must be signed; null: the well-known authorities. */
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

/** TLS towards backends, with its files read. To be read again when they change. */
export interface BackendTls {
  readonly mode: SslMode;
  readonly context: tls.SecureContext;
  /** What of a backend's certificate is checked. */
  readonly verify: 'nothing' | 'authority' | 'authority and name';
}

/** ALPN name of the protocol. Source: PG_ALPN_PROTOCOL in src/include/libpq/pqcomm.h. */
export const ALPN_POSTGRESQL = 'postgresql';

/**
 * Reads the files.
 * @throws Error when a file cannot be read, is not PEM, or key and certificate do not fit
 */
export function loadBackendTls(settings: BackendTlsSettings): BackendTls {
  const { mode, caFile, certFile, keyFile } = settings;
  const context = tls.createSecureContext({
    ...(caFile === null ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === null ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === null ? {} : { key: readFileSync(keyFile) }),
  });
  return { mode, context, verify: whatToVerify(mode, caFile !== null) };
}

/** A `require` with an authority given means `verify-ca`, as in libpq (documentation, "SSL Support", 34.19.1). */
function whatToVerify(mode: SslMode, hasAuthority: boolean): BackendTls['verify'] {
  if (mode === 'verify-full') return 'authority and name';
  return mode === 'verify-ca' || (mode === 'require' && hasAuthority) ? 'authority' : 'nothing';
}

/** Options for `tls.connect` over a socket that the backend agreed to secure. */
export function tlsConnectionOptions(backendTls: BackendTls, host: string): tls.ConnectionOptions {
  const { context, verify } = backendTls;
  return {
    secureContext: context,
    host,
    // SNI is for names only (RFC 6066 section 3).
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: [ALPN_POSTGRESQL],
    rejectUnauthorized: verify !== 'nothing',
    ...(verify === 'authority' ? { checkServerIdentity: () => undefined } : {}),
  };
}
