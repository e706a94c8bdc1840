import { allocateMessage, writeInt16, writeInt32, writeLength, writeString } from './bytes.ts';
import { FRONTEND, TARGET } from './codes.ts';

/**
 * Encoders for what pgweir says to a backend on its own behalf. Texts and names are byte-as-char. What a client said is
 * forwarded as it came or rewritten by `rewrite.ts`, never encoded anew.
 */

export type Target = 'portal' | 'statement';

export const SYNC: Buffer = allocateMessage(FRONTEND.sync, 0);
export const FLUSH: Buffer = allocateMessage(FRONTEND.flush, 0);
export const TERMINATE: Buffer = allocateMessage(FRONTEND.terminate, 0);
export const COPY_DONE: Buffer = allocateMessage(FRONTEND.copyDone, 0);

/** A simple query. */
export function encodeQuery(text: string): Buffer {
  return stringMessage(FRONTEND.query, text);
}

/** Ends a COPY from the client with an error that carries `reason`. */
export function encodeCopyFail(reason: string): Buffer {
  return stringMessage(FRONTEND.copyFail, reason);
}

/** Answer to a request for a password in clear text or as md5 (then `md5` and 32 hexadecimal digits). */
export function encodePassword(password: string): Buffer {
  return stringMessage(FRONTEND.password, password);
}

/** `types`: OIDs of the parameters' types, 0 for one that PostgreSQL shall find out. */
export function encodeParse(name: string, text: string, types: readonly number[] = []): Buffer {
  const message = allocateMessage(FRONTEND.parse, name.length + 1 + text.length + 1 + 2 + 4 * types.length);
  let at = writeString(message, writeString(message, 5, name), text);
  writeInt16(message, at, types.length);
  at += 2;
  for (const type of types) {
    writeInt32(message, at, type);
    at += 4;
  }
  return message;
}

/** Binds a statement without parameters; results come as text. */
export function encodeBind(portal: string, statement: string): Buffer {
  const message = allocateMessage(FRONTEND.bind, portal.length + 1 + statement.length + 1 + 6);
  const at = writeString(message, writeString(message, 5, portal), statement);
  message.fill(0, at);
  return message;
}

/**
 * Runs a prepared statement with values in text, as a Query would: Bind to the unnamed portal, its Describe, Execute of all
 * rows, Sync. `statement`: its name without the zero.
 */
export function encodeBoundRead(statement: Buffer, values: readonly string[]): Buffer {
  let bind = HEADER_BYTES + 1 + statement.length + 1 + 2 + 2 + 2;
  for (const value of values) bind += 4 + value.length;
  const messages = Buffer.allocUnsafe(bind + RUN_AND_SYNC.length);
  messages[0] = FRONTEND.bind;
  writeLength(messages, 1, bind - 1);
  messages[HEADER_BYTES] = 0;
  let at = HEADER_BYTES + 1 + statement.copy(messages, HEADER_BYTES + 1);
  messages[at] = 0;
  writeInt16(messages, at + 1, 0);
  writeInt16(messages, at + 3, values.length);
  at += 5;
  for (const value of values) {
    writeInt32(messages, at, value.length);
    at += 4 + messages.write(value, at + 4, 'latin1');
  }
  writeInt16(messages, at, 0);
  RUN_AND_SYNC.copy(messages, bind);
  return messages;
}

export function encodeDescribe(target: Target, name: string): Buffer {
  return targetMessage(FRONTEND.describe, target, name);
}

export function encodeClose(target: Target, name: string): Buffer {
  return targetMessage(FRONTEND.close, target, name);
}

/** `maxRows` 0: all of them. */
export function encodeExecute(portal: string, maxRows = 0): Buffer {
  const message = allocateMessage(FRONTEND.execute, portal.length + 1 + 4);
  writeInt32(message, writeString(message, 5, portal), maxRows);
  return message;
}

/**
 * Runs one statement without parameters, as the unnamed one, with no Sync behind it: if it fails, PostgreSQL passes over all
 * that follows up to a Sync, Query messages included. Without a block of its own, it is in one transaction with what follows.
 * Source: ignore_till_sync and XACT_FLAGS_PIPELINING in src/backend/tcop/postgres.c.
 */
export function encodeUnsynced(text: string): Buffer {
  return Buffer.concat([encodeParse('', text), BIND_AND_EXECUTE]);
}

/** First message of a SASL exchange; `data` null when the mechanism lets the server speak first. */
export function encodeSaslInitialResponse(mechanism: string, data: Buffer | null): Buffer {
  const message = allocateMessage(FRONTEND.password, mechanism.length + 1 + 4 + (data?.length ?? 0));
  const at = writeString(message, 5, mechanism);
  writeInt32(message, at, data?.length ?? -1);
  data?.copy(message, at + 4);
  return message;
}

export function encodeSaslResponse(data: Buffer): Buffer {
  const message = allocateMessage(FRONTEND.password, data.length);
  data.copy(message, 5);
  return message;
}

function stringMessage(type: number, text: string): Buffer {
  const message = allocateMessage(type, text.length + 1);
  writeString(message, 5, text);
  return message;
}

function targetMessage(type: number, target: Target, name: string): Buffer {
  const message = allocateMessage(type, 1 + name.length + 1);
  message[5] = TARGET[target];
  writeString(message, 6, name);
  return message;
}

const HEADER_BYTES = 5;
const RUN_AND_SYNC = Buffer.concat([encodeDescribe('portal', ''), encodeExecute(''), SYNC]);

const BIND_AND_EXECUTE = Buffer.concat([encodeBind('', ''), encodeExecute('')]);
