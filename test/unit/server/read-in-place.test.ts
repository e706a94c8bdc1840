import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readInPlace } from '../../../src/server/read-in-place.ts';

let server: net.Server;
let client: net.Socket;
let accepted: net.Socket;

beforeEach(async () => {
  server = net.createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const connected = once(server, 'connection').then(([socket]) => ({ socket, moved: readInPlace(socket) }));
  client = net.connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const { socket, moved } = await connected;
  accepted = moved;
  // If this fails, Node has another way to keep its connections, and a buffer is allocated for each read.
  expect(moved).not.toBe(socket);
});

afterEach(() => {
  client?.destroy();
  accepted?.destroy();
  server.close();
});

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

/** All that comes, from now on. */
function listen(): Buffer[] {
  const chunks: Buffer[] = [];
  accepted.on('data', (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}

const textOf = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString('latin1');

test('bytes pass both ways, and it knows its client', async () => {
  const chunks = listen();
  client.write('one');
  await until(() => textOf(chunks) === 'one');
  accepted.write('two');
  expect(String((await once(client, 'data'))[0])).toBe('two');
  expect(accepted.remotePort).toBe(client.localPort);
});

test('what is read by hand comes before what is listened to', async () => {
  client.write('first, ');
  await once(accepted, 'readable');
  client.write('second, ');
  await until(() => accepted.readableLength >= 15);
  expect(String(accepted.read(7))).toBe('first, ');
  accepted.removeAllListeners('readable');
  const chunks = listen();
  client.write('third');
  await until(() => textOf(chunks) === 'second, third');
});

test('chunks stay as they are when more is read', async () => {
  const chunks = listen();
  const sent = ['a', 'b', 'c'].map((letter) => letter.repeat(letter === 'b' ? 1_000_000 : 1000));
  for (const text of sent) {
    client.write(text);
    await until(() => chunks.at(-1)?.toString('latin1').at(-1) === text[0]);
  }
  await until(() => chunks.reduce((sum, { length }) => sum + length, 0) >= 1_002_000);
  expect(textOf(chunks)).toBe(sent.join(''));
});

test('paused, it reads no more than other sockets, and goes on in order', async () => {
  const chunks: Buffer[] = [];
  accepted.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    accepted.pause();
  });
  const sent = Buffer.alloc(8 * 1024 * 1024, 'abcdefghijk');
  client.write(sent);
  await until(() => chunks.length > 0);
  for (let time = 0; time < 20; time++) await turn();
  expect(chunks.length).toBe(1);
  expect(accepted.readableLength).toBeLessThanOrEqual(2 * accepted.readableHighWaterMark);
  accepted.removeAllListeners('data');
  accepted.on('data', (chunk: Buffer) => chunks.push(chunk));
  accepted.resume();
  await until(() => chunks.reduce((sum, { length }) => sum + length, 0) >= sent.length);
  expect(Buffer.concat(chunks).equals(sent)).toBe(true);
});

test('a client that ends its half is noticed, also while nothing is wanted of it, and can still be written to', async () => {
  listen();
  accepted.pause();
  const closed = once(accepted, 'close');
  client.end();
  await once(accepted, 'end');
  accepted.end('farewell');
  expect(String((await once(client, 'data'))[0])).toBe('farewell');
  await closed;
});

test('a client that is gone closes it, also while nothing is wanted of it', async () => {
  listen();
  accepted.pause();
  accepted.on('error', () => undefined);
  const closed = new Promise((resolve) => accepted.once('close', resolve));
  client.resetAndDestroy();
  await closed;
});

test('a socket that is not as expected stays as it is', () => {
  const unconnected = new net.Socket();
  expect(readInPlace(unconnected)).toBe(unconnected);
  accepted.unshift('read already');
  expect(readInPlace(accepted)).toBe(accepted);
});
