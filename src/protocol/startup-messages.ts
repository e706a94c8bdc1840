import { allocateStartup, byteAt, readInt32, readUint32, stringEnd, textOf, writeInt32, writeString } from './bytes.ts';
import { PROTOCOL_OPTION_PREFIX, REQUEST } from './codes.ts';
import { MAX_CANCEL_KEY_BYTES, MAX_STARTUP_PACKET_LENGTH, MIN_CANCEL_KEY_BYTES } from './limits.ts';
import { ProtocolError } from './protocol-error.ts';

/**
 * The packets without a type byte that a connection begins with: a length, a number that is a protocol version or a
 * request code, and a body. Source: ProcessStartupPacket in src/backend/tcop/backend_startup.c.
 */
export type StartupPacket =
  | { readonly kind: 'startup'; readonly startup: Startup }
  | { readonly kind: 'ssl request' }
  | { readonly kind: 'gss encryption request' }
  | { readonly kind: 'cancel request'; readonly processId: number; readonly key: Buffer };

export interface Startup {
  /** As sent: major version in the upper 16 bits, minor in the lower. */
  readonly version: number;
  readonly major: number;
  readonly minor: number;
  /**
   * Everything but protocol options, in the order sent; of a name sent twice the last stands, in its place. Names and
   * values are byte-as-char.
   */
  readonly parameters: ReadonlyMap<string, string>;
  /** Names of the `_pq_.` parameters, each as often as sent. pgweir knows none, so all are to be declined. */
  readonly protocolOptions: readonly string[];
}

const NOTHING = Buffer.alloc(0);

/** Gathers the startup packets of a client, which may be cut anywhere. Copies what it is given. */
export class StartupFramer {
  #bytes: Buffer = NOTHING;

  /** Bytes that were pushed and not handed out. Behind an SSLRequest there must be none. */
  get pending(): number {
    return this.#bytes.length;
  }

  push(chunkSlice: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunkSlice]);
  }

  /**
   * The next packet with its length field, or null when it is not complete yet.
   * @throws ProtocolError for a length that no such packet has
   */
  next(): Buffer | null {
    if (this.#bytes.length < 4) return null;
    const length = readUint32(this.#bytes, 0);
    if (length < 8 || length > 4 + MAX_STARTUP_PACKET_LENGTH) {
      throw new ProtocolError('protocol_violation', 'invalid length of startup packet');
    }
    if (this.#bytes.length < length) return null;
    const packet = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return packet;
  }

  /** Ends the startup: returns what was pushed behind the last packet, for the framer of what follows. */
  takeRemainder(): Buffer {
    const remainder = this.#bytes;
    this.#bytes = NOTHING;
    return remainder;
  }
}

/**
 * Reads a packet of {@link StartupFramer}. Whether its user, database and settings make sense is the session's business.
 * @throws ProtocolError for an unsupported major version or a broken layout, in PostgreSQL's words
 */
export function decodeStartupPacket(packet: Buffer): StartupPacket {
  const code = readUint32(packet, 4);
  switch (code) {
    case REQUEST.ssl:
      return bare(packet, { kind: 'ssl request' });
    case REQUEST.gssEncryption:
      return bare(packet, { kind: 'gss encryption request' });
    case REQUEST.cancel:
      return decodeCancelRequest(packet);
    default:
      return { kind: 'startup', startup: decodeStartup(packet, code) };
  }
}

function bare(packet: Buffer, request: StartupPacket): StartupPacket {
  if (packet.length !== 8) throw new ProtocolError('protocol_violation', 'invalid length of startup packet');
  return request;
}

/** Source: ProcessCancelRequestPacket in src/backend/tcop/backend_startup.c. */
function decodeCancelRequest(packet: Buffer): StartupPacket {
  const keyBytes = packet.length - 12;
  if (keyBytes < MIN_CANCEL_KEY_BYTES || keyBytes > MAX_CANCEL_KEY_BYTES) {
    throw new ProtocolError('protocol_violation', 'invalid length of cancel key in cancel request packet');
  }
  return { kind: 'cancel request', processId: readInt32(packet, 8), key: Buffer.from(packet.subarray(12)) };
}

function decodeStartup(packet: Buffer, version: number): Startup {
  const major = version >>> 16;
  const minor = version & 0xffff;
  if (major !== 3) {
    throw new ProtocolError(
      'unsupported_protocol',
      `unsupported frontend protocol ${major}.${minor}: server supports 3.0 to 3.2`,
    );
  }
  const parameters = new Map<string, string>();
  const protocolOptions: string[] = [];
  let at = 8;
  while (at < packet.length && byteAt(packet, at) !== 0) {
    const nameEnd = stringEnd(packet, at, packet.length);
    if (nameEnd < 0) break;
    const valueEnd = stringEnd(packet, nameEnd + 1, packet.length);
    if (valueEnd < 0) break;
    const name = textOf(packet, at, nameEnd);
    if (name.startsWith(PROTOCOL_OPTION_PREFIX)) protocolOptions.push(name);
    else {
      parameters.delete(name);
      parameters.set(name, textOf(packet, nameEnd + 1, valueEnd));
    }
    at = valueEnd + 1;
  }
  if (at !== packet.length - 1) {
    throw new ProtocolError('protocol_violation', 'invalid startup packet layout: expected terminator as last byte');
  }
  return { version, major, minor, parameters, protocolOptions };
}

/** SSLRequest: answered by one byte, S or N. */
export const SSL_REQUEST: Buffer = request(REQUEST.ssl);

function request(code: number): Buffer {
  const packet = allocateStartup(4);
  writeInt32(packet, 4, code);
  return packet;
}

/** A startup packet that asks for `version` (as sent, see codes.ts) with `parameters` in their order, byte-as-char. */
export function encodeStartup(version: number, parameters: Iterable<readonly [name: string, value: string]>): Buffer {
  const pairs = [...parameters];
  let bytes = 4 + 1;
  for (const [name, value] of pairs) bytes += name.length + value.length + 2;
  const packet = allocateStartup(bytes);
  writeInt32(packet, 4, version);
  let at = 8;
  for (const [name, value] of pairs) at = writeString(packet, writeString(packet, at, name), value);
  packet[at] = 0;
  return packet;
}

/** Asks, on a connection of its own, to cancel what `processId` runs. `key` as in its BackendKeyData: 4 to 256 bytes. */
export function encodeCancelRequest(processId: number, key: Buffer): Buffer {
  const packet = allocateStartup(8 + key.length);
  writeInt32(packet, 4, REQUEST.cancel);
  writeInt32(packet, 8, processId);
  key.copy(packet, 12);
  return packet;
}
