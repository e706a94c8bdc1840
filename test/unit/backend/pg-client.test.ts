import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { connectPg } from '../../../src/backend/pg-client.ts';
import { loadBackendTls, type SslMode } from '../../../src/backend/tls.ts';
import { type Conversation, FakeBackend } from '../../support/fake-backend.ts';
import { backendMessage } from '../../support/transcript.ts';

const WELCOME = Buffer.concat([backendMessage('Authentication', 0, ''), backendMessage('ReadyForQuery', 'I')]);
const refusal = (sqlstate: string) => backendMessage('ErrorResponse', { S: 'FATAL', V: 'FATAL', C: sqlstate, M: 'no' });

/** Has no TLS, and answers a startup packet with `answer`. */
const withoutTls = (answer: Buffer) => async (server: Conversation) => {
  if ((await server.hearPacket()).length === 8) {
    server.send(Buffer.from('N'));
    return;
  }
  server.send(answer);
};

test.each<[string, SslMode, (server: Conversation) => Promise<void>, number, string | null]>([
  ['without TLS is asked again in plain text', 'prefer', withoutTls(WELCOME), 2, null],
  ['without TLS is not put up with', 'require', withoutTls(WELCOME), 1, 'does not support SSL'],
  ['that is silent is asked once', 'prefer', (server) => server.untilClosed(), 1, 'timeout'],
  ['that refuses the password is asked once', 'allow', withoutTls(refusal('28P01')), 1, 'no'],
  ['that refuses plain text is asked for TLS', 'allow', withoutTls(refusal('28000')), 2, 'does not support SSL'],
  ['whose handshake fails is asked again in plain text', 'prefer', brokenTls(), 2, null],
])('a backend %s (%s)', async (_, mode, talk, connections, failure) => {
  await using server = await FakeBackend.start(talk);
  const began = performance.now();
  const connecting = connectPg({
    ...{
      host: server.host,
      port: server.port,
      user: 'app',
      password: null,
      database: 'app',
      timeoutMs: 300,
      applicationName: 'x',
    },
    tls: () => loadBackendTls({ mode, caFile: null, certFile: null, keyFile: null }),
  });
  if (failure === null) void (await connecting).end();
  else await expect(connecting).rejects.toThrow(failure);
  expect(performance.now() - began).toBeLessThan(550);
  expect(server.connections).toBe(connections);
});

function brokenTls(): (server: Conversation) => Promise<void> {
  return async (server) => {
    if ((await server.hearPacket()).length > 8) return server.send(WELCOME);
    server.send(Buffer.from('S'));
    await sleep(20);
    server.socket.destroy();
  };
}
