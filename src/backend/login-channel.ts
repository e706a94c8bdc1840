import { Framer } from '../protocol/framer.ts';
import { BACKEND_RULES, wholeMessages } from '../protocol/limits.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { BackendSocket } from './backend-socket.ts';

/** All that a backend may say during login. Ours; PostgreSQL says about 500 bytes. */
const MAX_LOGIN_BYTES = 1024 * 1024;

/** One whole message with its header; it belongs to the receiver. */
export interface LoginMessage {
  readonly type: number;
  readonly bytes: Buffer;
}

const LOGIN_RULES = wholeMessages(BACKEND_RULES);

/**
 * Messages of a backend one at a time, by promise: only for logging in, where nothing is hurried. The socket is read only
 * while a message is waited for, so it is paused whenever nobody waits.
 */
export class LoginChannel {
  readonly #socket: BackendSocket;
  readonly #framer = new Framer(LOGIN_RULES);
  #received = 0;
  #wake: (() => void) | null = null;
  #chunks: Buffer[] = [];
  #end: { readonly error: Error | null } | null = null;

  constructor(socket: BackendSocket) {
    this.#socket = socket;
    socket.onData((chunk) => {
      socket.pause();
      this.#chunks.push(Buffer.from(chunk));
      this.#wake?.();
    });
    socket.onClose((error) => {
      this.#end = { error };
      this.#wake?.();
    });
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /**
   * The next message.
   * @throws ProtocolError for what is not the protocol; Error when the connection ends
   */
  async read(): Promise<LoginMessage> {
    while (!this.#framer.next()) this.#framer.push(await this.#chunk());
    const { type, buffer, start, end } = this.#framer;
    return { type, bytes: Buffer.from(buffer.subarray(start, end)) };
  }

  /** What was received behind the last message. Reading by messages is over. */
  takeRemainder(): Buffer {
    return Buffer.concat([this.#framer.takeRemainder(), ...this.#chunks]);
  }

  async #chunk(): Promise<Buffer> {
    while (this.#chunks.length === 0) {
      if (this.#end !== null) throw this.#end.error ?? new Error('the backend closed the connection');
      this.#socket.resume();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    const chunk = this.#chunks.shift() ?? Buffer.alloc(0);
    this.#received += chunk.length;
    if (this.#received > MAX_LOGIN_BYTES) {
      throw new ProtocolError('backend_protocol_violation', 'the backend says too much during login');
    }
    return chunk;
  }
}
