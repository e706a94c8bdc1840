import { once } from 'node:events';
import net from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AcceptedSocket } from '../../../src/server/accepted-socket.ts';

let server: net.Server;
let client: net.Socket;
let accepted: AcceptedSocket;

beforeEach(async () => {
  server = net.createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const connected = once(server, 'connection').then(([socket]) => AcceptedSocket.of(socket));
  client = net.connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const socket = await connected;
  // If this fails, Node has another way to keep its connections: clients are read through a stream now.
  if (!(socket instanceof AcceptedSocket)) throw new Error('the connection could not be moved');
  accepted = socket;
});

afterEach(() => {
  client.destroy();
  accepted.destroy();
  server.close();
});

/** Takes chunks until `end` is among what they say. */
function takenUntil(end: string): Promise<string> {
  return new Promise((resolve) => {
    let all = '';
    const take = (chunk: Buffer) => {
      all += chunk.toString('latin1');
      if (all.includes(end)) resolve(all);
    };
    const earlier = accepted.takeChunks(take);
    if (earlier !== null) take(earlier);
  });
}

test('is a socket like any other at first', async () => {
  client.write('one');
  expect(String((await once(accepted, 'data'))[0])).toBe('one');
  accepted.write('two');
  expect(String((await once(client, 'data'))[0])).toBe('two');
  expect(accepted.remotePort).toBe(client.localPort);
});

test('what was not read by then comes first', async () => {
  client.write('early, ');
  await once(accepted, 'readable');
  const taken = takenUntil('late');
  client.write('late');
  expect(await taken).toBe('early, late');
});

test('chunks that were taken stay as they are', async () => {
  const chunks: Buffer[] = [];
  accepted.takeChunks((chunk) => chunks.push(chunk));
  for (const letter of 'abc') {
    client.write(letter.repeat(1000));
    while (chunks.at(-1)?.toString('latin1').endsWith(letter) !== true) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(Buffer.concat(chunks).toString()).toBe('a'.repeat(1000) + 'b'.repeat(1000) + 'c'.repeat(1000));
});

test('nothing is read while it is paused', async () => {
  const taken = takenUntil('after');
  accepted.pause();
  client.write('before, ');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(accepted.bytesRead).toBe(0);
  accepted.resume();
  client.write('after');
  expect(await taken).toBe('before, after');
});

test('a client that ends its half can still be written to', async () => {
  accepted.takeChunks(() => undefined);
  const closed = once(accepted, 'close');
  client.end();
  await once(accepted, 'end');
  accepted.end('farewell');
  expect(String((await once(client, 'data'))[0])).toBe('farewell');
  await closed;
});

test('a client that is gone closes it', async () => {
  accepted.on('error', () => undefined);
  accepted.takeChunks(() => undefined);
  const closed = new Promise((resolve) => accepted.once('close', resolve));
  client.resetAndDestroy();
  await closed;
});
