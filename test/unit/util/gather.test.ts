import { describe, expect, test } from 'vitest';
import { type ByteSink, Gather } from '../../../src/util/gather.ts';
import { Turn } from '../../../src/util/turn.ts';

/** Keeps what it is given as it came, and says whether it has taken it. */
class Socket implements ByteSink {
  readonly written: Buffer[] = [];
  takes = true;

  write(bytes: Buffer): boolean {
    this.written.push(this.takes ? Buffer.from(bytes) : bytes);
    return this.takes;
  }

  writeAll(pieces: readonly Buffer[]): boolean {
    return this.write(Buffer.concat(pieces));
  }

  get texts(): string[] {
    return this.written.map((bytes) => bytes.toString());
  }
}

function bench() {
  const turn = new Turn();
  const socket = new Socket();
  const gather = new Gather(turn, socket);
  const say = (...texts: string[]) =>
    turn.run(() => {
      for (const text of texts) gather.add(Buffer.from(`(${text})`), 1, text.length + 1);
    });
  return { turn, socket, gather, say };
}

describe('what one socket is sent in a turn', () => {
  test('leaves in one write', () => {
    const { socket, say } = bench();
    say('one ', 'two ', 'three');
    expect(socket.texts).toEqual(['one two three']);
  });

  test('is one piece where slices of one buffer follow each other', () => {
    const { turn, socket, gather } = bench();
    const slab = Buffer.from('abcdef');
    turn.run(() => {
      gather.add(slab, 0, 2);
      gather.add(slab, 2, 6);
    });
    expect(socket.written[0]?.equals(slab)).toBe(true);
    expect(gather.bytes).toBe(0);
  });

  test('stays as it is while the socket keeps it, whatever is gathered meanwhile', () => {
    const { socket, say } = bench();
    const other = bench();
    socket.takes = false;
    say('kept ', 'by the socket');
    other.say('of ', 'another');
    say('kept ', 'too');
    other.say('once ', 'more');
    expect(socket.texts).toEqual(['kept by the socket', 'kept too']);
    expect(other.socket.texts).toEqual(['of another', 'once more']);
  });

  test('goes as it is when it is long', () => {
    const { socket, say } = bench();
    const long = 'x'.repeat(40_000);
    say('short ', long);
    expect(socket.texts).toEqual([`short ${long}`]);
  });
});
