import { encodeCancelRequest } from '../protocol/startup-messages.ts';
import type { Clock } from '../util/clock.ts';
import { errorOf, OperationalError } from '../util/errors.ts';
import { BackendSocket } from './backend-socket.ts';
import { Deadline } from './deadline.ts';
import { negotiateTls } from './negotiate-tls.ts';
import type { BackendTls } from './tls.ts';

export interface CancelOptions {
  readonly host: string;
  readonly port: number;
  /** As the connection that is meant got them in BackendKeyData. */
  readonly processId: number;
  readonly secretKey: Buffer;
  /** Null: the connection that is meant is not encrypted. Otherwise the key is sent over TLS or not at all. */
  readonly tls: BackendTls | null;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/**
 * Sends a cancel request on a connection of its own. Resolves when the backend has closed that connection: the signal was
 * then sent, though the query may take a moment longer to notice. PostgreSQL gives no other answer.
 *
 * @throws OperationalError `backend_unreachable`
 */
export async function sendCancel(options: CancelOptions): Promise<void> {
  const { host, port, processId, secretKey, tls } = options;
  const what = `could not send a cancel request to backend ${host}:${port}`;
  using deadline = new Deadline(options, what);
  const socket = new BackendSocket(host, port);
  deadline.guard(socket);
  try {
    await socket.connected();
    if (tls !== null && !(await negotiateTls(socket, tls, host))) throw new Error('the backend does not support TLS');
    await sendAndAwaitClose(socket, encodeCancelRequest(processId, secretKey));
    if (deadline.error !== null) throw deadline.error;
  } catch (error) {
    if (deadline.error !== null) throw deadline.error;
    const reason = errorOf(error).message;
    throw new OperationalError('backend_unreachable', `${what}: ${reason}`, { cause: error });
  } finally {
    socket.onClose(() => undefined);
    socket.destroy();
  }
}

/** A reset is as good as an orderly end: some servers close with our bytes unread. */
function sendAndAwaitClose(socket: BackendSocket, request: Buffer): Promise<void> {
  return new Promise((resolve) => {
    socket.onClose(() => resolve());
    socket.onData(() => undefined);
    socket.write(request);
    socket.resume();
  });
}
