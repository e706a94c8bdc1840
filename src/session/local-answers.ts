import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  encodeCommandComplete,
  encodeDataRow,
  encodeParameterDescription,
  encodeRowDescription,
  NO_DATA,
  PARSE_COMPLETE,
  READY_FOR_QUERY,
} from '../protocol/backend-encoders.ts';
import { FRONTEND, TARGET } from '../protocol/codes.ts';
import type { TransactionState } from './state.ts';
import type { Work } from './work.ts';

/** What a statement that pgweir answers by itself returns. */
export interface LocalResult {
  readonly tag: string;
  /** One row of one column, for SHOW. */
  readonly column?: { readonly name: string; readonly value: string };
}

/** The whole reply to a work whose one statement is answered here, message for message as PostgreSQL would. */
export function localReply(work: Work, result: LocalResult, after: TransactionState): Buffer {
  const parts: Buffer[] = [];
  const { tag, column } = result;
  const complete = encodeCommandComplete(tag);
  const row = column === undefined ? null : encodeDataRow([column.value]);
  const description = column === undefined ? NO_DATA : encodeRowDescription([column.name]);
  if (work.kind === 'query') {
    if (row !== null) parts.push(description, row);
    parts.push(complete);
  }
  for (const message of work.kind === 'query' ? [] : work.messages) {
    switch (message.type) {
      case FRONTEND.parse:
        parts.push(PARSE_COMPLETE);
        break;
      case FRONTEND.bind:
        parts.push(BIND_COMPLETE);
        break;
      case FRONTEND.describe:
        if (message.buffer[message.start + 5] === TARGET.statement) parts.push(encodeParameterDescription([]));
        parts.push(description);
        break;
      case FRONTEND.execute:
        if (row !== null) parts.push(row);
        parts.push(complete);
        break;
      case FRONTEND.close:
        parts.push(CLOSE_COMPLETE);
        break;
      default:
    }
  }
  parts.push(readyFor(after));
  return Buffer.concat(parts);
}

/** ReadyForQuery for a transaction state. */
export function readyFor(state: TransactionState): Buffer {
  if (state === 'idle') return READY_FOR_QUERY.idle;
  return state === 'failed' ? READY_FOR_QUERY.failed : READY_FOR_QUERY.inTransaction;
}
