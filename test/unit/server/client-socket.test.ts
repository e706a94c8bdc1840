import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from 'vitest';
import { ClientSocket } from '../../../src/server/client-socket.ts';
import { readInPlace } from '../../../src/server/read-in-place.ts';
import { SocketReader } from '../../../src/server/socket-reader.ts';
import { Measures } from '../../../src/util/measures.ts';
import { realClock } from '../../../src/util/real-clock.ts';
import { Turn } from '../../../src/util/turn.ts';

test.each([
  ['as Node has it', (socket: net.Socket) => socket],
  ['read in place', readInPlace],
])('a pause that is asked for while the rest of the login is handled holds: %s', async (_what, made) => {
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const connected = once(server, 'connection').then(([accepted]) => made(accepted));
  const client = net.connect({ host: '127.0.0.1', port });
  client.write('login, and more');
  const socket = await connected;
  const reader = new SocketReader(socket);
  const rest = await reader.next();
  reader.release();
  let received = 0;
  const served: ClientSocket = new ClientSocket(
    socket,
    {
      received: (chunk) => {
        received += chunk.length;
        served.pauseReading();
      },
      congested: () => undefined,
      writable: () => undefined,
      ended: () => undefined,
      closed: () => undefined,
      failed: (error) => {
        throw error;
      },
    },
    { turn: new Turn(), measures: new Measures(), clock: realClock },
  );
  served.start(rest ?? Buffer.alloc(0));
  client.write(Buffer.alloc(5_000_000));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(received).toBe('login, and more'.length);
  client.destroy();
  socket.destroy();
  server.close();
});
