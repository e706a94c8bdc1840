import type { BackendConnection } from './connection.ts';

/** What those who lend connections (`pool`) and those who borrow them (`session`) have agreed on. */

/** Somebody who waits for a lease. Exactly one of the two is called, inside a turn, unless the wait is given up. */
export interface LeaseWaiter {
  granted(connection: BackendConnection): void;
  refused(error: Error): void;
}

/**
 * What of a connection's past must not be: `new`, it has none; `no temporary schema`, none was made on it, which stays for
 * the life of the process. Fulfilled as far as the pool's bound allows.
 */
export type LeaseWish = 'any' | 'no temporary schema' | 'new';

/** Who takes leases, one after the other; the same from the first to the last. */
export interface Lessee {
  /** There will be no more. */
  gone: boolean;
}

/** Whether nobody is there who had it last: others leave it alone if they can, so that who returns finds it as it was. */
export function isLeft({ lessee }: BackendConnection): boolean {
  return lessee?.gone !== false;
}

/** Somebody with reads under way on a shared connection. */
export interface Sharer {
  /** The connection is lost, after `lost` of each of its segments. */
  sharedLost(connection: BackendConnection, farewell: Buffer | null): void;
  /** Its reads there will not be answered: they are to be run elsewhere. */
  sharedMoved(): void;
  /** The connection is its own now, a lease like any other; what others have asked there is swallowed. */
  sharedBecameLease(connection: BackendConnection): void;
  /** The connection takes bytes again. */
  writable(): void;
  broken(error: unknown): void;
}

/** By what one who shares a connection holds up the others, or keeps it for itself. */
export type HoldUp = 'long reply' | 'slow client' | 'cancel';

/** When a read was sent, and when its answer came: not before, and at the latest (ms of the clock). */
export interface AnsweredRead {
  readonly sentMs: number;
  readonly arrivedAfterMs: number;
  readonly nowMs: number;
}
