/** A socket with something gathered to write. */
export interface Flushable {
  /** Writes what was gathered, in one write. Returns false when the kernel did not take all of it at once. */
  flush(): boolean;
}

/** Room for so many sockets is kept from turn to turn. Ours. */
const MAX_ROOM = 1024;

/**
 * One write per socket per turn. Everything that handles an event of the outside (bytes came, a timer fired, a connection
 * became free) runs between `enter` and `leave`; sockets that gathered bytes meanwhile are flushed when the outermost
 * `leave` is reached. So what one chunk of a client's pipeline causes leaves in one write, and so does everything that one
 * chunk of a backend brings for one client.
 */
export class Turn {
  #depth = 0;
  #number = 0;
  /** The first `#gathered` are to be flushed; the rest is room from earlier turns, kept because emptying an array costs. */
  readonly #dirty: (Flushable | null)[] = [];
  #gathered = 0;
  readonly #late: Flushable[] = [];
  readonly #defer: (work: () => void) => void;

  /** @param defer runs something when all events that are due now were handled; at once where it does not matter */
  constructor(defer: (work: () => void) => void = (work) => work()) {
    this.#defer = defer;
  }

  enter(): void {
    if (this.#depth++ === 0) this.#number++;
  }

  /** Of the turn that runs, or ran last. */
  get number(): number {
    return this.#number;
  }

  /** Returns false when some write of this turn was not taken whole: borrowed bytes are then still referenced. */
  leave(): boolean {
    if (this.#depth > 1) {
      this.#depth--;
      return true;
    }
    let tookAll = true;
    try {
      // Flushing may gather more; it is still part of the turn, and the list is walked until nothing is left.
      for (let index = 0; index < this.#gathered; index++) {
        const socket = this.#dirty[index];
        this.#dirty[index] = null;
        if (socket?.flush() === false) tookAll = false;
      }
    } finally {
      if (this.#dirty.length > MAX_ROOM) this.#dirty.length = 0;
      this.#gathered = 0;
      this.#depth = 0;
    }
    return tookAll;
  }

  /** Handles an event in a turn. What it throws goes to `failed`, or on. */
  run(work: () => void, failed?: (error: unknown) => void): void {
    this.enter();
    try {
      work();
    } catch (error) {
      if (failed === undefined) throw error;
      failed(error);
    } finally {
      this.leave();
    }
  }

  /** To be called when a socket has gathered its first bytes. Only inside a turn. */
  gathered(socket: Flushable): void {
    this.#dirty[this.#gathered++] = socket;
  }

  /** Flushes when everything that is due now was handled: what many sockets bring at once leaves together on this one. */
  later(socket: Flushable): void {
    this.#late.push(socket);
    if (this.#late.length === 1) this.#defer(() => this.#flushLate());
  }

  #flushLate(): void {
    for (const socket of this.#late.splice(0)) socket.flush();
  }

  get running(): boolean {
    return this.#depth > 0;
  }
}
