import type { Report } from '../admin/report.ts';
import type { ListenMode } from '../session/state.ts';
import type { View } from '../topology/view.ts';
import type { PlainConfig } from './plain-config.ts';

/*
 * What supervisor and workers say to each other, over the channel that comes with each worker. Both run the same program,
 * so nothing here is checked at the other end. Times are of the machine's clock (time-base.ts).
 *
 * The channel is private to the two processes. Secrets travel on it (passwords of the configuration, keys of cancel
 * requests), so no message is ever logged.
 */

/** From a worker. */
export type Upward =
  /** It runs, and waits to be told what to do. */
  | { readonly kind: 'booted' }
  /** Clients may come. */
  | { readonly kind: 'serving' }
  /** So many clients that it was given have come in, and so many are gone again. */
  | { readonly kind: 'clients'; readonly came: number; readonly left: number }
  /** It could not begin, and ends. */
  | { readonly kind: 'failed'; readonly message: string }
  /** What its sessions tell and ask the monitor; the fence also in the worker's own time, by which it knows it again. */
  | { readonly kind: 'topology'; readonly asks: TopologyAsks; readonly ownFenceMs: number | null }
  | { readonly kind: 'catalog changed'; readonly database: string }
  /** Lines of its log, whole. */
  | { readonly kind: 'log'; readonly lines: string }
  | Question
  | Answer;

/** To a worker. */
export type Downward =
  | {
      readonly kind: 'start';
      readonly slot: number;
      readonly slots: number;
      readonly config: PlainConfig;
      readonly saltSecret: string;
      readonly view: View;
    }
  /** The socket that comes with it is of a new client. */
  | { readonly kind: 'client'; readonly mode: ListenMode }
  /** The newest view; older ones may have been left out. */
  | { readonly kind: 'view'; readonly view: View }
  /** Nobody will be that fresh soon: reads that wait for as much need not wait. The fence as the worker named it to itself. */
  | { readonly kind: 'hopeless'; readonly ownFenceMs: number }
  | { readonly kind: 'catalog changed'; readonly database: string }
  /** Finish transactions, then end. */
  | { readonly kind: 'drain' }
  | Question
  | Answer;

/** What is answered with the number of the question. */
export interface Question {
  readonly kind: 'question';
  readonly id: number;
  readonly ask: Ask;
}

export type Ask =
  /** Up: for the worker that gave out this key. Down: for this one. */
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  | { readonly kind: 'reload'; readonly config: PlainConfig }
  | { readonly kind: 'report' };

export interface Answer {
  readonly kind: 'answer';
  readonly id: number;
  readonly outcome: Outcome;
}

export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly message: string }
  /** Nobody is there to answer. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'report'; readonly report: Report };

/** Gathered over a turn. */
export interface TopologyAsks {
  readonly traffic: boolean;
  /** Each backend at most once. */
  readonly suspects: readonly { readonly backend: number; readonly cause: string }[];
  /** The latest fence that a read waits for, and until when; null when none has come. */
  readonly fence: { readonly fenceMs: number; readonly deadlineMs: number } | null;
}
