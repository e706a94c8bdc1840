import { ProtocolError } from '../protocol/protocol-error.ts';
import type { Clock } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import { BackendSocket } from './backend-socket.ts';
import { Deadline } from './deadline.ts';
import { type LoggedIn, type LoginOptions, logIn } from './login.ts';
import { BackendLoginError } from './login-error.ts';
import { negotiateTls, TlsFailure } from './negotiate-tls.ts';
import type { BackendTls } from './tls.ts';

export interface DialOptions extends LoginOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: BackendTls;
  /** For everything together: name lookup, connecting, TLS, login. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Gives up when aborted. */
  readonly signal?: AbortSignal;
}

export interface DialedBackend extends LoggedIn {
  /** Paused. Its handlers are to be set before it is resumed. */
  readonly socket: BackendSocket;
  /** The connection is encrypted; a cancel request for it should be, too. */
  readonly tls: boolean;
  /** As PostgreSQL's `server_version_num` (180004), null when the backend reported none. */
  readonly serverVersion: number | null;
}

/**
 * Connects to a backend and logs in.
 *
 * @throws BackendLoginError when the backend refuses, with its ErrorResponse to relay; ProtocolError
 *   `backend_protocol_violation`; OperationalError `backend_unreachable` (not connected, no TLS, timeout) or
 *   `backend_login_failed` (the credential cannot answer what the backend asks)
 */
export async function dialBackend(options: DialOptions): Promise<DialedBackend> {
  const target = `backend ${options.host}:${options.port}`;
  using deadline = new Deadline(options, `could not connect to ${target}`);
  try {
    return await attempts(options, deadline);
  } catch (error) {
    if (deadline.error !== null) throw deadline.error;
    if (error instanceof BackendLoginError || error instanceof OperationalError || error instanceof ProtocolError) throw error;
    const reason = errorOf(error).message;
    throw new OperationalError('backend_unreachable', `could not connect to ${target}: ${reason}`, { cause: error });
  }
}

/** `plain when refused`: goes on in plain text on the same connection when the backend has no TLS. */
type Encryption = 'plain' | 'tls' | 'plain when refused';

/** What `sslmode` means. Source: libpq documentation, "SSL Support", table 34.1. */
async function attempts(options: DialOptions, deadline: Deadline): Promise<DialedBackend> {
  switch (options.tls.mode) {
    case 'disable':
      return await attempt(options, deadline, 'plain');
    case 'allow':
      return await attempt(options, deadline, 'plain').catch((error: unknown) => {
        if (!isRefusedForEncryption(error)) throw error;
        return attempt(options, deadline, 'tls');
      });
    case 'prefer':
      return await attempt(options, deadline, 'plain when refused').catch((error: unknown) => {
        const refusedOverTls = isRefusedForEncryption(error) && error.tls;
        if (!refusedOverTls && !(error instanceof TlsFailure)) throw error;
        return attempt(options, deadline, 'plain');
      });
    default:
      return await attempt(options, deadline, 'tls');
  }
}

async function attempt(options: DialOptions, deadline: Deadline, encryption: Encryption): Promise<DialedBackend> {
  const socket = new BackendSocket(options.host, options.port);
  deadline.guard(socket);
  try {
    await socket.connected();
    const tls = encryption !== 'plain' && (await negotiateTls(socket, options.tls, options.host));
    if (encryption === 'tls' && !tls) throw new TlsFailure('the backend does not support TLS, but it is required');
    const loggedIn = await logIn(socket, options);
    if (deadline.error !== null) throw deadline.error;
    return { ...loggedIn, socket, tls, serverVersion: versionNumber(loggedIn.parameters.get('server_version')) };
  } catch (error) {
    socket.onClose(() => undefined);
    socket.destroy();
    throw error;
  }
}

/** `pg_hba.conf` has no entry, or a rejecting one: the other kind of connection may be welcome. */
function isRefusedForEncryption(error: unknown): error is BackendLoginError {
  return error instanceof BackendLoginError && !error.authenticated && error.sqlstate === '28000';
}

/** `18.4 (Debian 18.4-1)`, `19beta1`, `9.6.24` as a number. Source: pqSaveParameterStatus in libpq/fe-exec.c. */
function versionNumber(text: string | undefined): number | null {
  const match = /^(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,4}))?/.exec(text ?? '');
  if (match === null) return null;
  const [major, minor, patch] = [match[1], match[2], match[3]].map((part) => Number(part ?? 0));
  return major !== undefined && major >= 10
    ? major * 10_000 + (minor ?? 0)
    : (major ?? 0) * 10_000 + (minor ?? 0) * 100 + (patch ?? 0);
}
