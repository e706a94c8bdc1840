import { ProtocolError } from '../protocol/protocol-error.ts';
import { SSL_REQUEST } from '../protocol/startup-messages.ts';
import { errorOf } from '../util/errors.ts';
import type { BackendSocket } from './backend-socket.ts';
import { type BackendTls, tlsConnectionOptions } from './tls.ts';

/** TLS did not come about. Never carries a text of the backend: who it is was not proven yet (CVE-2024-10977). */
export class TlsFailure extends Error {
  override readonly name = 'TlsFailure';
}

const ACCEPTED = 0x53;
const REFUSED = 0x4e;
const ERROR_RESPONSE = 0x45;

/**
 * Asks for TLS on a connected socket and begins it. False: the backend said that it has none, and the connection can go on
 * in plain text.
 *
 * The answer is one byte. Anything behind it was sent before there was encryption, perhaps by somebody in between, and ends
 * the connection (CVE-2021-23222). Source: PQconnectPoll in src/interfaces/libpq/fe-connect.c.
 *
 * @throws TlsFailure; ProtocolError for an answer that is none
 */
export async function negotiateTls(socket: BackendSocket, backendTls: BackendTls, host: string): Promise<boolean> {
  let handshake: Promise<void> | null = null;
  await new Promise<void>((resolve, reject) => {
    socket.onClose((error) => reject(new TlsFailure('connection closed during TLS negotiation', { cause: error })));
    socket.onData((chunk) => {
      socket.pause();
      const problem = problemWith(chunk);
      if (problem !== null) reject(problem);
      else {
        if (chunk[0] === ACCEPTED) handshake = socket.startTls(tlsConnectionOptions(backendTls, host));
        resolve();
      }
    });
    socket.write(SSL_REQUEST);
    socket.resume();
  });
  if (handshake === null) return false;
  try {
    await handshake;
  } catch (error) {
    throw new TlsFailure(`TLS handshake failed: ${errorOf(error).message}`, { cause: error });
  }
  return true;
}

function problemWith(answer: Buffer): Error | null {
  switch (answer[0]) {
    case ACCEPTED:
    case REFUSED:
      if (answer.length === 1) return null;
      return new ProtocolError('backend_protocol_violation', 'received unencrypted data behind the answer to an SSL request');
    case ERROR_RESPONSE:
      return new TlsFailure('the backend answered an SSL request with an error');
    default:
      return new ProtocolError('backend_protocol_violation', 'received invalid response to SSL negotiation');
  }
}
