import { byteAt, readUint32 } from './bytes.ts';
import type { FramerRules } from './limits.ts';
import { ProtocolError } from './protocol-error.ts';

const EMPTY = Buffer.alloc(0);
const HEADER_BYTES = 5;

/**
 * Finds messages in a stream of chunks cut anywhere, in either direction. Looks at the five bytes of each header, at no
 * body, and allocates nothing for a message that is whole in its chunk.
 *
 *     framer.push(chunk);
 *     while (framer.next()) use(framer.type, framer.buffer, framer.start, framer.end, framer.first, framer.last);
 *
 * Each `next()` that is true hands out one *piece*, `buffer[start, end)`, of one message. A message that is whole in the
 * chunk is one piece, and consecutive ones lie next to each other, so whoever forwards many may forward one slab. A
 * message that is not is handed out as it comes, once its first piece has the bytes that the rules want of its type: a
 * DataRow of 1 GB passes without being gathered. Until then its beginning is carried in a buffer of its own; that first
 * piece then lies in the carry and the rest in chunks.
 *
 * Lifetimes: a chunk is borrowed from `push` until the `next()` that is false. A piece lives as long as the chunk it lies
 * in; one in a carry belongs to the receiver, the framer never touches it again.
 *
 * A length or type against the rules throws ProtocolError before a byte of that message is handed out, and again on every
 * later call: there is no way on behind it.
 */
export class Framer {
  /** Type byte of the message. */
  type = 0;
  /** Bytes of the whole message with its type byte and length field. */
  length = 0;
  /** The piece is `buffer[start, end)`. */
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;
  /** The piece begins the message. */
  first = false;
  /** The piece ends the message. */
  last = false;

  #rules: FramerRules;
  #chunk: Buffer = EMPTY;
  #position = 0;
  #limit = 0;
  /** Bytes of the current message that were not handed out yet; 0 between messages. */
  #remaining = 0;
  /** Beginning of a message that cannot be handed out yet: `#carry[0, #carried)`. */
  #carry: Buffer = EMPTY;
  #carried = 0;

  constructor(rules: FramerRules) {
    this.#rules = rules;
  }

  /** Rules for the next message on; to be changed between messages, when `pending` bytes behind them were not looked at. */
  useRules(rules: FramerRules): void {
    this.#rules = rules;
  }

  /** Bytes that were pushed and not handed out. */
  get pending(): number {
    return this.#carried + this.#limit - this.#position;
  }

  /** Whether the stream, ending here, would end inside a message. */
  get insideMessage(): boolean {
    return this.#remaining > 0 || this.pending > 0;
  }

  /** Takes a chunk, borrowed until `next()` is false. Normally everything before it has been read. */
  push(chunk: Buffer): void {
    const unread = this.#limit - this.#position;
    this.#chunk = unread === 0 ? chunk : Buffer.concat([this.#chunk.subarray(this.#position, this.#limit), chunk]);
    this.#position = 0;
    this.#limit = this.#chunk.length;
  }

  /**
   * Advances to the next piece; false when more bytes are needed.
   * @throws ProtocolError for a length or type against the rules
   */
  next(): boolean {
    const chunk = this.#chunk;
    const position = this.#position;
    const available = this.#limit - position;
    if (this.#remaining !== 0) return this.#continueMessage(available);
    if (this.#carried !== 0) return this.#completeCarry();
    if (available < HEADER_BYTES) return this.#startCarry(available, HEADER_BYTES);

    const type = byteAt(chunk, position);
    const total = this.#checkedTotal(type, readUint32(chunk, position + 1));
    if (available >= total) {
      this.#deliver(type, total, chunk, position, position + total);
      this.#position = position + total;
      return true;
    }
    const wanted = this.#wantedHead(type, total);
    if (available < wanted) return this.#startCarry(available, wanted);
    this.#deliver(type, total, chunk, position, this.#limit);
    this.#position = this.#limit;
    return true;
  }

  /**
   * Ends framing: returns all bytes that were pushed and not handed out, for somebody else to read. Lies in the chunk
   * unless a beginning was carried.
   */
  takeRemainder(): Buffer {
    const unread = this.#chunk.subarray(this.#position, this.#limit);
    const remainder = this.#carried === 0 ? unread : Buffer.concat([this.#carry.subarray(0, this.#carried), unread]);
    this.#remaining = 0;
    this.#dropCarry();
    this.#release();
    return remainder;
  }

  #deliver(type: number, total: number, buffer: Buffer, start: number, end: number): void {
    this.type = type;
    this.length = total;
    this.buffer = buffer;
    this.start = start;
    this.end = end;
    this.first = true;
    this.#remaining = total - (end - start);
    this.last = this.#remaining === 0;
  }

  #continueMessage(available: number): boolean {
    if (available === 0) return this.#release();
    const size = Math.min(available, this.#remaining);
    this.buffer = this.#chunk;
    this.start = this.#position;
    this.end = this.#position + size;
    this.#position = this.end;
    this.#remaining -= size;
    this.first = false;
    this.last = this.#remaining === 0;
    return true;
  }

  /** Copies the chunk's last `available` bytes, too few of the `wanted`, because the chunk is only borrowed. */
  #startCarry(available: number, wanted: number): boolean {
    if (available > 0) {
      this.#checkType(byteAt(this.#chunk, this.#position));
      this.#fillCarry(wanted);
    }
    return this.#release();
  }

  #completeCarry(): boolean {
    if (this.#carried < HEADER_BYTES) {
      this.#fillCarry(HEADER_BYTES);
      if (this.#carried < HEADER_BYTES) return this.#release();
    }
    const type = byteAt(this.#carry, 0);
    const total = this.#checkedTotal(type, readUint32(this.#carry, 1));
    const wanted = this.#wantedHead(type, total);
    if (this.#carried < wanted) {
      this.#fillCarry(wanted);
      if (this.#carried < wanted) return this.#release();
    }
    this.#deliver(type, total, this.#carry, 0, this.#carried);
    this.#dropCarry();
    return true;
  }

  /** Moves bytes of the chunk into the carry until that has `wanted`, or the chunk has no more. */
  #fillCarry(wanted: number): void {
    const size = Math.min(wanted - this.#carried, this.#limit - this.#position);
    const carried = this.#carried + size;
    if (carried > this.#carry.length) {
      // Grows with what has really come: a header alone cannot make pgweir reserve the length it claims.
      const grown = Buffer.allocUnsafe(Math.min(wanted, 2 * carried));
      this.#carry.copy(grown, 0, 0, this.#carried);
      this.#carry = grown;
    }
    this.#chunk.copy(this.#carry, this.#carried, this.#position, this.#position + size);
    this.#carried = carried;
    this.#position += size;
  }

  #dropCarry(): void {
    this.#carry = EMPTY;
    this.#carried = 0;
  }

  /** Lets go of the chunk, which is used up, and of the last piece: an idle connection holds on to nothing. Returns false. */
  #release(): boolean {
    this.#chunk = EMPTY;
    this.#position = 0;
    this.#limit = 0;
    this.buffer = EMPTY;
    this.start = 0;
    this.end = 0;
    return false;
  }

  #wantedHead(type: number, total: number): number {
    const wanted = this.#rules.headBytes[type] as number;
    return Math.min(wanted, total);
  }

  /** Source for both texts: SocketBackend in postgres.c and pq_getmessage in pqcomm.c. */
  #checkedTotal(type: number, length: number): number {
    if (length < 4 || length > (this.#rules.maxLength[type] as number)) {
      this.#checkType(type);
      throw new ProtocolError(this.#errorKind(length >= 4), 'invalid message length');
    }
    return length + 1;
  }

  #checkType(type: number): void {
    if (this.#rules.maxLength[type] !== 0) return;
    throw new ProtocolError(this.#errorKind(false), `${this.#rules.refusal}${type}`);
  }

  #errorKind(tooLarge: boolean): ProtocolError['kind'] {
    if (this.#rules.sender === 'backend') return 'backend_protocol_violation';
    return tooLarge ? 'message_too_large' : 'protocol_violation';
  }
}
