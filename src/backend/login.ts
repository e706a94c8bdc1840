import { randomBytes } from 'node:crypto';
import { endPointHash } from '../auth/channel-binding.ts';
import type { Credential } from '../auth/credential.ts';
import { SCRAM_NONCE_BYTES } from '../auth/scram-server.ts';
import {
  decodeBackendKeyData,
  decodeNegotiateProtocolVersion,
  decodeParameterStatus,
  decodeReadyForQuery,
} from '../protocol/backend-decoders.ts';
import { BACKEND, PROTOCOL_3_0, TRANSACTION_STATUS } from '../protocol/codes.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import { encodeStartup } from '../protocol/startup-messages.ts';
import { BackendAuthentication } from './authenticate.ts';
import type { BackendSocket } from './backend-socket.ts';
import { LoginChannel, type LoginMessage } from './login-channel.ts';
import { BackendLoginError } from './login-error.ts';

/** Names and values have one character for each byte. */
export interface LoginOptions {
  readonly user: string;
  readonly database: string;
  /** Further startup parameters: settings, `options`, `replication`. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly credential: Credential;
}

/** What a backend said while it let us in. */
export interface LoggedIn {
  /** 0 when the backend gave no key: nothing on this connection can then be cancelled. */
  readonly processId: number;
  readonly secretKey: Buffer;
  /** What it reported by ParameterStatus. */
  readonly parameters: Map<string, string>;
  /** What came behind ReadyForQuery; normally nothing. */
  readonly rest: Buffer;
}

/** Key of protocol 3.0, which is what we ask for. */
const CANCEL_KEY_BYTES = 4;

/**
 * Logs in on a connected socket, up to the first ReadyForQuery. The socket is left paused, with handlers that are to be
 * replaced. Protocol 3.0: nothing of 3.2 is of use here, and poolers in between may not know it.
 *
 * @throws BackendLoginError when the backend refuses; ProtocolError when it does not speak the protocol; OperationalError
 *   `backend_login_failed` when the credential cannot answer; Error when the connection ends
 */
export async function logIn(socket: BackendSocket, options: LoginOptions): Promise<LoggedIn> {
  const channel = new LoginChannel(socket);
  const certificate = socket.secured?.getPeerX509Certificate();
  const authentication = new BackendAuthentication({
    user: options.user,
    credential: options.credential,
    nonce: randomBytes(SCRAM_NONCE_BYTES).toString('base64'),
    tls: socket.secured !== null,
    endPointHash: certificate === undefined ? null : endPointHash(certificate.raw),
  });
  channel.write(startupPacket(options));
  await authenticate(channel, authentication, socket.secured !== null);
  return await readUntilReady(channel, socket.secured !== null);
}

function startupPacket({ user, database, parameters }: LoginOptions): Buffer {
  return encodeStartup(PROTOCOL_3_0, [['user', user], ['database', database], ...parameters]);
}

async function authenticate(channel: LoginChannel, authentication: BackendAuthentication, tls: boolean): Promise<void> {
  while (!authentication.over) {
    const { type, bytes } = await channel.read();
    switch (type) {
      case BACKEND.authentication: {
        const answer = await authentication.answer(bytes);
        if (answer !== null) channel.write(answer);
        break;
      }
      case BACKEND.negotiateProtocolVersion:
        // A backend has nothing to decline: we ask for the oldest version and for no option.
        decodeNegotiateProtocolVersion(bytes, 0, bytes.length);
        break;
      case BACKEND.noticeResponse:
        break;
      default:
        throw refusal({ type, bytes }, { authenticated: false, tls });
    }
  }
}

async function readUntilReady(channel: LoginChannel, tls: boolean): Promise<LoggedIn> {
  const parameters = new Map<string, string>();
  let processId = 0;
  let secretKey: Buffer = Buffer.alloc(0);
  for (;;) {
    const { type, bytes } = await channel.read();
    switch (type) {
      case BACKEND.parameterStatus: {
        const { name, value } = decodeParameterStatus(bytes, 0, bytes.length);
        parameters.set(name, value);
        break;
      }
      case BACKEND.backendKeyData: {
        const { processId: id, key } = decodeBackendKeyData(bytes, 0, bytes.length);
        if (key.length !== CANCEL_KEY_BYTES) throw violation(`cancel key of ${key.length} bytes in protocol 3.0`);
        processId = id;
        secretKey = key;
        break;
      }
      case BACKEND.noticeResponse:
        break;
      case BACKEND.readyForQuery:
        if (decodeReadyForQuery(bytes, 0, bytes.length) !== TRANSACTION_STATUS.idle) {
          throw violation('the backend is in a transaction at login');
        }
        return { processId, secretKey, parameters, rest: channel.takeRemainder() };
      default:
        throw refusal({ type, bytes }, { authenticated: true, tls });
    }
  }
}

function refusal(message: LoginMessage, where: { authenticated: boolean; tls: boolean }): Error {
  if (message.type === BACKEND.errorResponse) return new BackendLoginError(message.bytes, where);
  return violation(`unexpected backend message type ${message.type} during login`);
}

function violation(text: string): ProtocolError {
  return new ProtocolError('backend_protocol_violation', text);
}
