import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ClientPort } from '../session/ports.ts';
import type { Clock } from '../util/clock.ts';
import { type ByteSink, Gather } from '../util/gather.ts';
import type { Measures } from '../util/measures.ts';
import type { Flushable, Turn } from '../util/turn.ts';

/** What a client's socket tells the one who serves it. All calls are inside a turn. */
export interface ClientSocketOwner {
  /** A chunk of the client's stream, which belongs to the receiver. */
  received(chunk: Buffer): void;
  /** The client does not keep up: no more should be read for it until everything was written. */
  congested(): void;
  writable(): void;
  /** The client has said its last word, and may still listen. */
  ended(): void;
  /** The connection is gone. */
  closed(): void;
  /** One of the calls above threw: a defect of ours. */
  failed(error: unknown): void;
}

/** A TLS socket takes bytes later than it is given them: pieces up to this size are copied rather than kept alive. Ours. */
const TLS_COPY_BYTES = 16 * 1024;

/** How long a client that was told to go may take to read why. Ours. */
const LINGER_MS = 5_000;

/** The socket of a client that is logged in: gathers what it is sent in a turn into one write. */
export class ClientSocket implements ClientPort, ByteSink, Flushable {
  readonly #socket: net.Socket;
  readonly #owner: ClientSocketOwner;
  readonly #turn: Turn;
  readonly #measures: Measures;
  readonly #clock: Clock;
  readonly #gather: Gather;
  readonly #encrypted: boolean;
  #paused = false;
  #ending = false;
  #closed = false;

  constructor(
    socket: net.Socket,
    owner: ClientSocketOwner,
    parts: { readonly turn: Turn; readonly measures: Measures; readonly clock: Clock },
  ) {
    this.#socket = socket;
    this.#encrypted = socket instanceof TLSSocket;
    this.#owner = owner;
    this.#turn = parts.turn;
    this.#measures = parts.measures;
    this.#clock = parts.clock;
    this.#gather = new Gather(parts.turn, this);
    socket.on('close', () => this.#gone());
    socket.on('drain', () => this.#inTurn(() => owner.writable()));
  }

  /** Begins to read; `rest` is what came before, behind the login. */
  start(rest: Buffer): void {
    this.#socket.on('data', (chunk: Buffer) => this.#received(chunk));
    this.#socket.on('end', () => this.#inTurn(() => this.#owner.ended()));
    if (rest.length > 0) this.#received(rest);
    // Who read for the login has let go of the socket, which is why Node makes it flow in its next tick, paused or not.
    process.nextTick(() => {
      if (this.#paused) this.#socket.pause();
    });
    // While its login waited for a backend.
    if (this.#socket.readableEnded) this.#inTurn(() => this.#owner.ended());
  }

  send(slice: Buffer, start: number, end: number): void {
    if (this.#closed || this.#ending) return;
    this.#measures.clientSentBytes += end - start;
    this.#gather.add(slice, start, end);
  }

  pauseReading(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  end(): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    this.#turn.gathered(this);
  }

  write(bytes: Buffer): boolean {
    if (this.#closed) return true;
    const copied = this.#encrypted && bytes.length <= TLS_COPY_BYTES;
    const keepsUp = this.#socket.write(copied ? Buffer.from(bytes) : bytes);
    return this.#written(keepsUp) || copied;
  }

  writeAll(pieces: readonly Buffer[]): boolean {
    if (this.#closed) return true;
    let keepsUp = true;
    this.#socket.cork();
    for (const piece of pieces) keepsUp = this.#socket.write(piece);
    this.#socket.uncork();
    return this.#written(keepsUp);
  }

  /** Comes after the gathered bytes were flushed: it was asked for after they were gathered. */
  flush(): boolean {
    if (this.#closed) return true;
    this.#socket.end();
    this.#socket.resume();
    this.#clock.after(LINGER_MS, () => this.#socket.destroy());
    return this.#socket.writableLength === 0;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Whether everything was taken. If not, and the socket will say when it was (`drain`), the client's backend is not read
   * until then: so at most one buffer of it waits for the client, and it is used again afterwards.
   */
  #written(keepsUp: boolean): boolean {
    if (this.#socket.writableLength === 0) return true;
    if (!keepsUp) this.#owner.congested();
    return false;
  }

  #received(chunk: Buffer): void {
    if (this.#ending) return;
    this.#measures.clientReceivedBytes += chunk.length;
    this.#turn.enter();
    try {
      this.#owner.received(chunk);
    } catch (error) {
      this.#owner.failed(error);
    } finally {
      this.#turn.leave();
    }
  }

  #gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gather.drop();
    this.#inTurn(() => this.#owner.closed());
  }

  #inTurn(work: () => void): void {
    this.#turn.run(work, (error) => this.#owner.failed(error));
  }
}
