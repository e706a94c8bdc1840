import type { BACKEND, FRONTEND } from '../../src/protocol/codes.ts';

/**
 * What each message is made of, once for reading and writing: the tests' own knowledge of the protocol, taken from the
 * documentation's "Message Formats" and independent of the codecs in src/protocol. Values are JSON: strings have one
 * character for each byte.
 */
interface Field {
  read(cursor: Cursor): unknown;
  write(value: unknown): Buffer;
}

class Cursor {
  at = 0;
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  take(count: number): Buffer {
    if (count < 0 || this.at + count > this.bytes.length) throw new RangeError('the message is too short');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  get left(): number {
    return this.bytes.length - this.at;
  }
}

const latin1 = (value: unknown): Buffer => Buffer.from(String(value), 'latin1');
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** An integer of 1, 2 or 4 bytes, signed. */
function integer(bytes: number): Field {
  return {
    read: (cursor) => cursor.take(bytes).readIntBE(0, bytes),
    write: (value) => {
      const buffer = Buffer.alloc(bytes);
      buffer.writeIntBE(Number(value), 0, bytes);
      return buffer;
    },
  };
}

const int8 = integer(1);
const int16 = integer(2);
const int32 = integer(4);

const character: Field = { read: (cursor) => cursor.take(1).toString('latin1'), write: latin1 };
const rest: Field = { read: (cursor) => cursor.take(cursor.left).toString('latin1'), write: latin1 };
const string: Field = {
  read: (cursor) => {
    const end = cursor.bytes.indexOf(0, cursor.at);
    const text = cursor.take(end < 0 ? cursor.left + 1 : end - cursor.at).toString('latin1');
    cursor.take(1);
    return text;
  },
  write: (value) => Buffer.concat([latin1(value), Buffer.of(0)]),
};

/** Bytes behind their length; null for NULL. */
const value: Field = {
  read: (cursor) => {
    const length = cursor.take(4).readInt32BE();
    return length === -1 ? null : cursor.take(length).toString('latin1');
  },
  write: (value) => (value === null ? int32.write(-1) : Buffer.concat([int32.write(latin1(value).length), latin1(value)])),
};

/** As many as its count says. */
function counted(count: Field, item: Field): Field {
  return {
    read: (cursor) => Array.from({ length: Math.min(Number(count.read(cursor)), cursor.left + 1) }, () => item.read(cursor)),
    write: (value) => Buffer.concat([count.write(listOf(value).length), ...listOf(value).map((one) => item.write(one))]),
  };
}

/** Until a zero byte in place of another. */
function terminated(item: Field): Field {
  return {
    read: (cursor) => {
      const items: unknown[] = [];
      while (cursor.bytes[cursor.at] !== 0) items.push(item.read(cursor));
      cursor.take(1);
      return items;
    },
    write: (value) => Buffer.concat([...listOf(value).map((one) => item.write(one)), Buffer.of(0)]),
  };
}

/** The fields of an error by their letters. */
const errorFields: Field = {
  read: (cursor) =>
    Object.fromEntries(listOf(terminated(string).read(cursor)).map((text) => [String(text)[0], String(text).slice(1)])),
  write: (value) => terminated(string).write(Object.entries(value ?? {}).map(([letter, text]) => letter + text)),
};

const COLUMN = [string, int32, int16, int32, int16, int32, int16];
const PLAIN_TEXT_COLUMN = '[0,0,25,-1,-1,0]';

/** A text column of no table by its name alone, any other with table, attribute, type, its length and modifier, format. */
const column: Field = {
  read: (cursor) => {
    const [name, ...others] = COLUMN.map((field) => field.read(cursor));
    return JSON.stringify(others) === PLAIN_TEXT_COLUMN ? name : [name, ...others];
  },
  write: (value) => {
    const values = Array.isArray(value) ? value : [value, ...JSON.parse(PLAIN_TEXT_COLUMN)];
    return Buffer.concat(COLUMN.map((field, index) => field.write(values[index])));
  },
};

const int16s = counted(int16, int16);
const int32s = counted(int16, int32);
const values = counted(int16, value);

export const FRONTEND_SHAPES: Record<keyof typeof FRONTEND, readonly Field[]> = {
  bind: [string, string, int16s, values, int16s],
  close: [character, string],
  copyData: [rest],
  copyDone: [],
  copyFail: [string],
  describe: [character, string],
  execute: [string, int32],
  flush: [],
  functionCall: [int32, int16s, values, int16],
  parse: [string, string, int32s],
  password: [rest],
  query: [string],
  sync: [],
  terminate: [],
};

export const BACKEND_SHAPES: Record<keyof typeof BACKEND, readonly Field[]> = {
  authentication: [int32, rest],
  backendKeyData: [int32, rest],
  bindComplete: [],
  closeComplete: [],
  commandComplete: [string],
  copyBothResponse: [int8, int16s],
  copyData: [rest],
  copyDone: [],
  copyInResponse: [int8, int16s],
  copyOutResponse: [int8, int16s],
  dataRow: [values],
  emptyQueryResponse: [],
  errorResponse: [errorFields],
  functionCallResponse: [value],
  negotiateProtocolVersion: [int32, counted(int32, string)],
  noData: [],
  noticeResponse: [errorFields],
  notificationResponse: [int32, string, string],
  parameterDescription: [int32s],
  parameterStatus: [string, string],
  parseComplete: [],
  portalSuspended: [],
  readyForQuery: [character],
  rowDescription: [counted(int16, column)],
};

/** Reads a body, or throws when it is not made of these fields to the last byte. */
export function readFields(fields: readonly Field[], body: Buffer): unknown[] {
  const cursor = new Cursor(body);
  const read = fields.map((field) => field.read(cursor));
  if (cursor.left > 0) throw new RangeError('the message is too long');
  return read;
}

export function writeFields(fields: readonly Field[], args: readonly unknown[]): Buffer {
  return Buffer.concat(fields.map((field, index) => field.write(args[index])));
}
