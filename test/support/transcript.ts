import { BACKEND, FRONTEND, REQUEST } from '../../src/protocol/codes.ts';
import { BACKEND_SHAPES, FRONTEND_SHAPES, readFields, writeFields } from './message-shapes.ts';

/**
 * Conversations as text, for tests to expect and for failures to show:
 *
 *     C: StartupMessage "3.0", "user", "app"
 *     S: Authentication 0, ""
 *     C: Query "select 1"
 *     S: DataRow ["1"]
 *     S: ReadyForQuery "I"
 *     C: hex 5a00000004
 *
 * Each line is one message, its fields as JSON in the order of the protocol page, strings with one character for each
 * byte. Bytes that are no message, or one that would not come out the same, are `hex`: a transcript loses nothing. Blank
 * lines and lines that begin with `#` are skipped.
 */
export type Side = 'C' | 'S';

export interface Line {
  readonly side: Side;
  /** One message with its header, a startup packet, or garbage. */
  readonly bytes: Buffer;
}

/** A message by name with its fields. */
export interface Told {
  readonly name: string;
  readonly args: readonly unknown[];
}

/** Changes what is printed of a message, such as what differs from run to run. */
export type Normalise = (told: Told, side: Side) => Told;

type Row = readonly [name: string, code: number, fields: (typeof FRONTEND_SHAPES)[keyof typeof FRONTEND]];

const ROWS: Record<Side, readonly Row[]> = {
  C: keysOf(FRONTEND).map((key) => [capitalised(key), FRONTEND[key], FRONTEND_SHAPES[key]]),
  S: keysOf(BACKEND).map((key) => [capitalised(key), BACKEND[key], BACKEND_SHAPES[key]]),
};

const REQUESTS: ReadonlyMap<string, number> = new Map([
  ['SSLRequest', REQUEST.ssl],
  ['GSSENCRequest', REQUEST.gssEncryption],
]);

/** One line for each message. */
export function printTranscript(lines: readonly Line[], normalise: Normalise = (told) => told): string {
  return lines.map((line) => `${line.side}: ${printMessage(line.side, line.bytes, normalise)}`).join('\n');
}

/** @throws Error naming the line that is none */
export function parseTranscript(text: string): Line[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseLine);
}

/** What is said, or null when telling it would lose a byte. */
export function tell(side: Side, bytes: Buffer): Told | null {
  try {
    const told = side === 'C' && bytes[0] === 0 ? tellStartup(bytes) : tellMessage(side, bytes);
    return told !== null && writeTold(side, told).equals(bytes) ? told : null;
  } catch {
    return null;
  }
}

/** A message of a client by its name and fields: `clientMessage('Bind', '', 's1', [], ['7'], [])`. */
export function clientMessage(name: string, ...args: readonly unknown[]): Buffer {
  return writeTold('C', { name, args });
}

/** A message of a backend by its name and fields: `backendMessage('DataRow', ['1', null])`. */
export function backendMessage(name: string, ...args: readonly unknown[]): Buffer {
  return writeTold('S', { name, args });
}

/** Hides what differs from run to run: process ids, keys, salts, proofs, and where in PostgreSQL an error arose. */
export const withoutChance: Normalise = (told) => {
  switch (told.name) {
    case 'BackendKeyData':
    case 'CancelRequest':
      return { name: told.name, args: ['<process id>', '<key>'] };
    case 'Password':
      return { name: told.name, args: ['<secret>'] };
    case 'Authentication':
      return told.args[0] === 0 || told.args[0] === 10 ? told : { name: told.name, args: [told.args[0], '<challenge>'] };
    case 'NotificationResponse':
      return { name: told.name, args: ['<process id>', ...told.args.slice(1)] };
    case 'ErrorResponse':
    case 'NoticeResponse': {
      const { F: _file, L: _line, R: _routine, ...rest } = Object(told.args[0]);
      return { name: told.name, args: [rest] };
    }
    default:
      return told;
  }
};

/** Splits a stream into its messages; what is left over and is none comes last, as it is. */
export function splitStream(side: Side, stream: Buffer): Line[] {
  const lines: Line[] = [];
  let at = 0;
  while (at < stream.length) {
    const lengthAt = side === 'C' && stream[at] === 0 ? at : at + 1;
    const end = lengthAt + 4 <= stream.length ? lengthAt + stream.readUInt32BE(lengthAt) : Number.POSITIVE_INFINITY;
    const stop = end <= stream.length && end >= lengthAt + 4 ? end : stream.length;
    lines.push({ side, bytes: stream.subarray(at, stop) });
    at = stop;
  }
  return lines;
}

function printMessage(side: Side, bytes: Buffer, normalise: Normalise): string {
  const told = tell(side, bytes);
  if (told === null) return `hex ${bytes.toString('hex')}`;
  const { name, args } = normalise(told, side);
  return `${name} ${args.map((arg) => JSON.stringify(arg)).join(', ')}`.trimEnd();
}

function parseLine(line: string): Line {
  const match = /^([CS]): ([A-Za-z]+)(?: (.*))?$/.exec(line);
  if (match === null) throw new Error(`not a line of a transcript: ${line}`);
  const side = match[1] === 'C' ? 'C' : 'S';
  const [, , name = '', written = ''] = match;
  if (name === 'hex') return { side, bytes: Buffer.from(written.replaceAll(' ', ''), 'hex') };
  try {
    return { side, bytes: writeTold(side, { name, args: JSON.parse(`[${written}]`) }) };
  } catch (error) {
    throw new Error(`not a line of a transcript: ${line}`, { cause: error });
  }
}

function tellMessage(side: Side, bytes: Buffer): Told | null {
  const row = ROWS[side].find(([, code]) => code === bytes[0]);
  return row === undefined ? null : { name: row[0], args: readFields(row[2], bytes.subarray(5)) };
}

function tellStartup(bytes: Buffer): Told | null {
  const code = bytes.readUInt32BE(4);
  for (const [name, request] of REQUESTS) if (code === request) return { name, args: [] };
  if (code === REQUEST.cancel) return { name: 'CancelRequest', args: [bytes.readInt32BE(8), bytes.toString('latin1', 12)] };
  const strings = bytes.toString('latin1', 8).split('\0').slice(0, -2);
  return { name: 'StartupMessage', args: [`${code >>> 16}.${code & 0xffff}`, ...strings] };
}

function writeTold(side: Side, told: Told): Buffer {
  if (side === 'C') {
    const startup = writeStartup(told);
    if (startup !== null) return withLength(startup);
  }
  const row = ROWS[side].find(([name]) => name === told.name);
  if (row === undefined) throw new Error(`${side} has no message ${told.name}`);
  return Buffer.concat([Buffer.of(row[1]), withLength(writeFields(row[2], told.args))]);
}

function writeStartup({ name, args }: Told): Buffer | null {
  const request = REQUESTS.get(name);
  if (request !== undefined) return int32(request);
  if (name === 'CancelRequest') {
    return Buffer.concat([int32(REQUEST.cancel), int32(Number(args[0])), Buffer.from(String(args[1]), 'latin1')]);
  }
  if (name !== 'StartupMessage') return null;
  const [version, ...strings] = args.map(String);
  const [major, minor] = (version ?? '').split('.').map(Number);
  const text = `${strings.map((one) => `${one}\0`).join('')}\0`;
  return Buffer.concat([int32(((major ?? 0) << 16) | (minor ?? 0)), Buffer.from(text, 'latin1')]);
}

function withLength(body: Buffer): Buffer {
  return Buffer.concat([int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

function capitalised(key: string): string {
  return key.charAt(0).toUpperCase() + key.slice(1);
}

function keysOf<T extends object>(table: T): (keyof T & string)[] {
  return Object.keys(table) as (keyof T & string)[];
}
