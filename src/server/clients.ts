import { timingSafeEqual } from 'node:crypto';
import type { Partition } from '../pool/partition.ts';
import { OperationalError } from '../util/errors.ts';

/** A client that is logged in, as far as others need to know it. */
export interface Client {
  readonly user: string;
  readonly processId: number;
  readonly secretKey: Buffer;
  /** Whether its backend connections are of this partition. */
  uses(partition: Partition): boolean;
  /** A cancel request with the right key came. Resolves when its backend has been told. */
  cancel(): Promise<void>;
  /** pgweir is about to stop: go as soon as no transaction is open. */
  drain(): void;
  /** Go now. */
  terminate(): void;
  /** Looks at its timeouts. */
  tick(nowMs: number): void;
}

/**
 * Of which process id a client is served by which of several processes: each gives out those that leave its own number as
 * remainder. So a cancel request, which comes on a connection of its own, finds its way from wherever it arrives.
 */
export interface ProcessShare {
  /** Which of the processes, from 0. */
  readonly slot: number;
  readonly slots: number;
}

/** The slot of the process that gave out this process id. */
export function slotOf(processId: number, slots: number): number {
  return processId % slots;
}

/** Highest process id that a client is given: they are positive 32-bit numbers. */
const MAX_PROCESS_ID = 0x7fff_ffff;

/** All clients that are logged in: limits, keys for cancelling, and the end. */
export class Clients<C extends Client> {
  readonly #byProcessId = new Map<number, C>();
  readonly #byUser = new Map<string, number>();
  readonly #share: ProcessShare;
  #sequence = 0;

  constructor(share: ProcessShare = { slot: 0, slots: 1 }) {
    this.#share = share;
  }

  get size(): number {
    return this.#byProcessId.size;
  }

  [Symbol.iterator](): IterableIterator<C> {
    return this.#byProcessId.values();
  }

  /** @throws OperationalError `too_many_clients` */
  checkLimits(user: string, limits: { readonly clients: number; readonly clientsPerUser: number | null }): void {
    if (this.size >= limits.clients) throw new OperationalError('too_many_clients', 'sorry, too many clients already');
    if (limits.clientsPerUser !== null && (this.#byUser.get(user) ?? 0) >= limits.clientsPerUser) {
      throw new OperationalError('too_many_clients', `too many connections for role "${user}"`);
    }
  }

  /** A process id that no client has. */
  newProcessId(): number {
    const { slot, slots } = this.#share;
    const last = Math.floor((MAX_PROCESS_ID - slot) / slots);
    let processId: number;
    do {
      // Not from 0: no process has this id.
      this.#sequence = this.#sequence >= last ? 1 : this.#sequence + 1;
      processId = this.#sequence * slots + slot;
    } while (this.#byProcessId.has(processId));
    return processId;
  }

  add(client: C): void {
    this.#byProcessId.set(client.processId, client);
    this.#byUser.set(client.user, (this.#byUser.get(client.user) ?? 0) + 1);
  }

  remove(client: C): void {
    if (!this.#byProcessId.delete(client.processId)) return;
    const left = (this.#byUser.get(client.user) ?? 1) - 1;
    if (left > 0) this.#byUser.set(client.user, left);
    else this.#byUser.delete(client.user);
  }

  /** The client that a cancel request is about; null when there is none with this id and key. */
  withKey(processId: number, secretKey: Buffer): C | null {
    const client = this.#byProcessId.get(processId);
    if (client === undefined || client.secretKey.length !== secretKey.length) return null;
    return timingSafeEqual(client.secretKey, secretKey) ? client : null;
  }
}
