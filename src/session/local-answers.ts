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
import { decodeBindNames, decodeDescribe, decodeExecute } from '../protocol/frontend-decoders.ts';
import { ProtocolError } from '../protocol/protocol-error.ts';
import type { TransactionState } from './state.ts';
import type { ClientMessage, Work } from './work.ts';

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

/**
 * Whether a batch does nothing but run one statement without parameters, once, message by message as drivers do it: nothing
 * in it can fail.
 */
export function isPlainRun(work: Work): boolean {
  try {
    return runsOnce(work);
  } catch (error) {
    // A message that makes no sense is PostgreSQL's to complain of.
    if (error instanceof ProtocolError) return false;
    throw error;
  }
}

function runsOnce(work: Work): boolean {
  let portal: string | null = null;
  let executed = false;
  for (const message of work.messages) {
    const { buffer, start, end, statement } = message;
    if (message.length !== end - start) return false;
    switch (message.type) {
      case FRONTEND.parse:
        if (portal !== null || statement === null || message.contested || statement.types.length > NO_TYPES_BYTES) return false;
        break;
      case FRONTEND.describe: {
        const { target, name } = decodeDescribe(buffer, start, end);
        if (target === 'statement' ? statement === null : name !== portal || executed) return false;
        break;
      }
      case FRONTEND.bind:
        if (portal !== null || statement === null) return false;
        portal = decodeBindNames(buffer, start, end).portal;
        if (!bindsNothing(message, portal)) return false;
        break;
      case FRONTEND.execute:
        if (portal === null || executed || decodeExecute(buffer, start, end).portal !== portal) return false;
        executed = true;
        break;
      case FRONTEND.close:
        if (!executed) return false;
        break;
      case FRONTEND.sync:
        break;
      default:
        return false;
    }
  }
  return executed;
}

const HEADER_BYTES = 5;
const NO_TYPES_BYTES = 2;

/** A Bind without parameters, with one result format at most, of text or binary. */
function bindsNothing({ buffer, start, end, name }: ClientMessage, portal: string): boolean {
  const at = start + HEADER_BYTES + portal.length + 1 + (name?.length ?? 0) + 1;
  if (end - at < 6 || buffer.readUInt32BE(at) !== 0) return false;
  const formats = buffer.readUInt16BE(at + 4);
  if (formats === 0) return end - at === 6;
  return formats === 1 && end - at === 8 && buffer.readUInt16BE(at + 6) <= 1;
}

/** ReadyForQuery for a transaction state. */
export function readyFor(state: TransactionState): Buffer {
  if (state === 'idle') return READY_FOR_QUERY.idle;
  return state === 'failed' ? READY_FOR_QUERY.failed : READY_FOR_QUERY.inTransaction;
}
