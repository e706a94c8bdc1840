import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { BackendSocket } from '../../../src/backend/backend-socket.ts';
import { type Conversation, FakeBackend } from '../../support/fake-backend.ts';

test('reads into one buffer again and again, and into a new one after a chunk was retained', async () => {
  await using pair = await connectedPair();
  const buffers: ArrayBufferLike[] = [];
  const chunks: Buffer[] = [];
  let retain = false;
  pair.socket.onData((chunk) => {
    buffers.push(chunk.buffer);
    chunks.push(chunk);
    if (retain) pair.socket.retain();
  });
  pair.socket.resume();
  await pair.say('one');
  await pair.say('two');
  retain = true;
  await pair.say('six');
  retain = false;
  await pair.say('ten');
  expect(buffers[1]).toBe(buffers[0]);
  expect(buffers[2]).toBe(buffers[0]);
  expect(buffers[3]).not.toBe(buffers[0]);
  expect(chunks.map(String)).toEqual(['six', 'six', 'six', 'ten']);
});

test('reads nothing before it is resumed, and nothing while it is paused', async () => {
  await using pair = await connectedPair();
  const heard: string[] = [];
  pair.socket.onData((chunk) => heard.push(String(chunk)));
  await pair.say('early');
  expect(heard).toEqual([]);
  pair.socket.resume();
  await pair.say('');
  expect(heard).toEqual(['early']);
  pair.socket.pause();
  await pair.say('late');
  expect(heard).toEqual(['early']);
  pair.socket.resume();
  await pair.say('');
  expect(heard).toEqual(['early', 'late']);
});

test('can be paused inside the handler, and loses nothing', async () => {
  await using pair = await connectedPair();
  const total = 3_000_000;
  let heard = 0;
  pair.socket.onData((chunk) => {
    heard += chunk.length;
    pair.socket.pause();
    setImmediate(() => pair.socket.resume());
  });
  pair.socket.resume();
  pair.server.send(Buffer.alloc(total, 1));
  while (heard < total) await sleep(5);
  expect(heard).toBe(total);
});

test('says whether a write was taken at once, and when the rest of it was', async () => {
  await using pair = await connectedPair();
  pair.server.socket.pause();
  expect(pair.socket.write(Buffer.from('small'))).toBe(true);
  expect(pair.socket.writeAll([Buffer.from('a'), Buffer.from('b')])).toBe(true);
  let drained = 0;
  pair.socket.onDrain(() => drained++);
  const large = Buffer.alloc(30_000_000);
  expect(pair.socket.write(large)).toBe(false);
  expect(pair.socket.writableLength).toBeGreaterThan(0);
  expect(drained).toBe(0);
  pair.server.socket.resume();
  while (drained === 0) await sleep(5);
  expect(pair.socket.writableLength).toBe(0);
});

test('tells once that the connection is gone: ended, reset, or destroyed with a reason', async () => {
  for (const [act, told] of [
    [(pair: Pair) => pair.server.socket.end(), null],
    [(pair: Pair) => pair.server.socket.resetAndDestroy(), expect.objectContaining({ code: 'ECONNRESET' })],
    [(pair: Pair) => pair.socket.destroy(), null],
    [(pair: Pair) => pair.socket.destroy(new Error('why')), expect.objectContaining({ message: 'why' })],
  ] as const) {
    await using pair = await connectedPair();
    const told_: (Error | null)[] = [];
    pair.socket.onData(() => undefined);
    pair.socket.onClose((error) => told_.push(error));
    pair.socket.resume();
    act(pair);
    while (told_.length === 0) await sleep(2);
    pair.socket.destroy();
    await sleep(10);
    expect(told_).toEqual([told]);
  }
});

test('a port where nobody listens is told as it is', async () => {
  const backend = await FakeBackend.start(() => undefined);
  const { port } = backend;
  await backend[Symbol.asyncDispose]();
  await expect(new BackendSocket('127.0.0.1', port).connected()).rejects.toThrow('ECONNREFUSED');
});

interface Pair extends AsyncDisposable {
  readonly socket: BackendSocket;
  readonly server: Conversation;
  /** Says something and waits until it would have been heard. */
  say(text: string): Promise<void>;
}

async function connectedPair(): Promise<Pair> {
  const { promise, resolve } = Promise.withResolvers<Conversation>();
  const backend = await FakeBackend.start((conversation) => resolve(conversation));
  const socket = new BackendSocket(backend.host, backend.port);
  await socket.connected();
  const server = await promise;
  return {
    socket,
    server,
    say: async (text) => {
      if (text !== '' && !server.socket.write(text)) await once(server.socket, 'drain');
      await sleep(25);
    },
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      await backend[Symbol.asyncDispose]();
    },
  };
}
