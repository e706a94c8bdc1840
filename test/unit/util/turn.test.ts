import { describe, expect, test } from 'vitest';
import { type ByteSink, Gather } from '../../../src/util/gather.ts';
import { Turn } from '../../../src/util/turn.ts';

/** Remembers its writes, piece by piece, and says whether it took them. */
class Sink implements ByteSink {
  readonly writes: string[][] = [];
  takes = true;
  onWrite: () => void = () => undefined;

  write(bytes: Buffer): boolean {
    return this.writeAll([bytes]);
  }

  writeAll(pieces: readonly Buffer[]): boolean {
    this.writes.push(pieces.map((piece) => piece.toString('latin1')));
    this.onWrite();
    return this.takes;
  }
}

const text = (value: string) => Buffer.from(value, 'latin1');

describe('what is gathered in a turn', () => {
  test('leaves in one write when the outermost turn is left', () => {
    const [turn, sink] = [new Turn(), new Sink()];
    const gather = new Gather(turn, sink);
    turn.enter();
    turn.enter();
    gather.add(text('one'), 0, 3);
    turn.leave();
    expect(sink.writes).toEqual([]);
    gather.add(text('two'), 0, 3);
    turn.leave();
    expect(sink.writes).toEqual([['onetwo']]);
  });

  test('is one piece where slices of one buffer follow each other, and is not copied', () => {
    const [turn, sink] = [new Turn(), new Sink()];
    const gather = new Gather(turn, sink);
    const slab = text('abcdef');
    let written: Buffer | null = null;
    sink.write = (bytes) => {
      written = bytes;
      return true;
    };
    turn.enter();
    gather.add(slab, 1, 3);
    gather.add(slab, 3, 5);
    expect(gather.bytes).toBe(4);
    turn.leave();
    expect(String(written)).toBe('bcde');
    expect((written as Buffer | null)?.buffer).toBe(slab.buffer);
  });

  test('keeps its order where slices do not follow each other, small ones in one buffer, large ones as they are', () => {
    const [turn, sink] = [new Turn(), new Sink()];
    const gather = new Gather(turn, sink);
    const slab = text('abcdef');
    turn.enter();
    gather.add(slab, 4, 6);
    gather.add(slab, 0, 2);
    gather.add(text('x'), 0, 1);
    turn.leave();
    const large = text('y'.repeat(20_000));
    turn.enter();
    gather.add(slab, 0, 1);
    gather.add(large, 0, large.length);
    turn.leave();
    expect(sink.writes).toEqual([['efabx'], ['a', 'y'.repeat(20_000)]]);
  });

  test('is forgotten when it is dropped', () => {
    const [turn, sink] = [new Turn(), new Sink()];
    const gather = new Gather(turn, sink);
    turn.enter();
    gather.add(text('gone'), 0, 4);
    gather.drop();
    gather.add(text('there'), 0, 5);
    turn.leave();
    turn.enter();
    turn.leave();
    expect(sink.writes).toEqual([['there']]);
  });

  test('by a write itself still leaves in the same turn', () => {
    const turn = new Turn();
    const [first, second] = [new Sink(), new Sink()];
    const [one, two] = [new Gather(turn, first), new Gather(turn, second)];
    first.onWrite = () => two.add(text('late'), 0, 4);
    turn.enter();
    one.add(text('early'), 0, 5);
    turn.leave();
    expect(second.writes).toEqual([['late']]);
  });
});

describe('leaving a turn', () => {
  test.each([true, false])('says whether every write was taken whole (%s)', (takes) => {
    const turn = new Turn();
    const [first, second] = [new Sink(), new Sink()];
    first.takes = takes;
    turn.enter();
    new Gather(turn, first).add(text('a'), 0, 1);
    new Gather(turn, second).add(text('b'), 0, 1);
    expect(turn.leave()).toBe(takes);
    turn.enter();
    expect(turn.leave()).toBe(true);
  });

  test('forgets no write that was not taken for a turn that is nested in another write', () => {
    const turn = new Turn();
    const [first, second] = [new Sink(), new Sink()];
    first.takes = false;
    second.onWrite = () => {
      turn.enter();
      turn.leave();
    };
    turn.enter();
    new Gather(turn, first).add(text('a'), 0, 1);
    new Gather(turn, second).add(text('b'), 0, 1);
    expect(turn.leave()).toBe(false);
  });

  test('by an error leaves it all the same', () => {
    const [turn, sink] = [new Turn(), new Sink()];
    const gather = new Gather(turn, sink);
    sink.onWrite = () => {
      throw new Error('broken');
    };
    turn.enter();
    gather.add(text('a'), 0, 1);
    expect(() => turn.leave()).toThrow('broken');
    expect(turn.running).toBe(false);
    sink.onWrite = () => undefined;
    turn.enter();
    gather.add(text('b'), 0, 1);
    expect(turn.leave()).toBe(true);
    expect(sink.writes).toEqual([['a'], ['b']]);
  });
});

describe('an event', () => {
  test('is handled in a turn, also when it fails', () => {
    const [turn, sink] = [new Turn(), new Sink()];
    const gather = new Gather(turn, sink);
    const work = () => {
      gather.add(text('one'), 0, 3);
      throw new RangeError('no');
    };
    expect(() => turn.run(work)).toThrow('no');
    expect([turn.running, sink.writes]).toEqual([false, [['one']]]);
    const seen: unknown[] = [];
    turn.run(work, (error) => seen.push([error, turn.running]));
    expect(seen).toEqual([[new RangeError('no'), true]]);
    expect(sink.writes.length).toBe(2);
  });
});
