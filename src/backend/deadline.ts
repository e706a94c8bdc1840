import type { Clock, Timer } from '../util/clock.ts';
import { OperationalError } from '../util/errors.ts';
import type { BackendSocket } from './backend-socket.ts';

/** One time limit over all steps of a conversation with a backend: when it is over, the socket in use is destroyed. */
export class Deadline implements Disposable {
  readonly #timer: Timer;
  readonly #signal: AbortSignal | null;
  readonly #onAbort = (): void => this.#expire(new OperationalError('backend_unreachable', 'connecting was given up'));
  #socket: BackendSocket | null = null;
  #error: OperationalError | null = null;

  constructor(limits: { readonly clock: Clock; readonly timeoutMs: number; readonly signal?: AbortSignal }, what: string) {
    const { clock, timeoutMs, signal } = limits;
    this.#timer = clock.after(timeoutMs, () => {
      this.#expire(new OperationalError('backend_unreachable', `${what}: timeout after ${timeoutMs} ms`));
    });
    this.#signal = signal ?? null;
    if (signal?.aborted) this.#onAbort();
    signal?.addEventListener('abort', this.#onAbort);
  }

  /** Why it is over, or null while there is time. */
  get error(): OperationalError | null {
    return this.#error;
  }

  /** The socket that is to be destroyed when time is over; replaces the one before. */
  guard(socket: BackendSocket): void {
    this.#socket = socket;
    if (this.#error !== null) socket.destroy(this.#error);
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #expire(error: OperationalError): void {
    this.#error ??= error;
    this.#socket?.destroy(error);
  }
}
