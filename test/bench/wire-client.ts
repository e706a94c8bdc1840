import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from './pgbench.ts';

/** ReadyForQuery, idle (protocol 3.0): what every reply here ends with. */
const READY = Buffer.from('5a0000000549', 'hex');
const PROTOCOL_3_0 = 196_608;

/**
 * The least that is a client: logs in under trust and counts bytes. Thousands of them, or gigabytes, should cost the
 * machine as little as possible beside what is measured.
 */
export class WireClient {
  readonly #socket: Socket;
  #tail = Buffer.alloc(0);
  #received = 0;
  #ready: (() => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
  }

  static async login({ host, port, database }: Target): Promise<WireClient> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    const client = new WireClient(socket);
    const parameters = Buffer.from(`user\0postgres\0database\0${database}\0\0`);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + parameters.length, 0);
    head.writeUInt32BE(PROTOCOL_3_0, 4);
    await client.#exchange(Buffer.concat([head, parameters]));
    return client;
  }

  /** Bytes of the reply to the last query so far. */
  get received(): number {
    return this.#received;
  }

  /** Sends a query and reads its reply, no faster than `bytesPerSecond` on average. */
  async query(sql: string, bytesPerSecond = Number.POSITIVE_INFINITY): Promise<void> {
    const text = Buffer.from(`${sql}\0`);
    const head = Buffer.from('Q0000', 'latin1');
    head.writeUInt32BE(4 + text.length, 1);
    this.#received = 0;
    const stopped = new AbortController();
    const brake = Number.isFinite(bytesPerSecond) ? this.#brake(bytesPerSecond, stopped.signal) : null;
    try {
      await this.#exchange(Buffer.concat([head, text]));
    } finally {
      stopped.abort();
      await brake;
    }
  }

  end(): void {
    this.#socket.destroy();
  }

  #exchange(message: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const lost = () => reject(new Error(`the connection was closed: ${this.#tail.toString('latin1')}`));
      this.#socket.once('close', lost).once('error', reject);
      this.#ready = () => {
        this.#socket.off('close', lost).off('error', reject);
        this.#ready = null;
        resolve();
      };
      this.#socket.write(message);
    });
  }

  #receive(chunk: Buffer): void {
    this.#received += chunk.length;
    // The reply's last bytes may come in pieces; of the rest nothing is kept.
    this.#tail = Buffer.concat([this.#tail.subarray(-READY.length), chunk.subarray(-READY.length)]);
    if (this.#tail.subarray(-READY.length).equals(READY)) this.#ready?.();
  }

  /** Stops reading whenever more has come than is due. */
  async #brake(bytesPerSecond: number, signal: AbortSignal): Promise<void> {
    const start = performance.now();
    while (!signal.aborted) {
      const dueBytes = ((performance.now() - start) / 1000) * bytesPerSecond;
      if (this.#received > dueBytes) this.#socket.pause();
      else this.#socket.resume();
      await sleep(2, undefined, { signal }).catch(() => undefined);
    }
    this.#socket.resume();
  }
}
