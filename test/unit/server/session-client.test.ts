import { once } from 'node:events';
import net from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { Partition } from '../../../src/pool/partition.ts';
import { SessionClient } from '../../../src/server/session-client.ts';
import type { SessionParts } from '../../../src/session/parts.ts';
import { StatementRegistry } from '../../../src/session/prepared-statements.ts';
import { ShapeSpeeds } from '../../../src/session/shape-speeds.ts';
import { assert } from '../../../src/util/assert.ts';
import { Measures } from '../../../src/util/measures.ts';
import { realClock } from '../../../src/util/real-clock.ts';
import { SettingsSet } from '../../../src/util/settings-set.ts';
import type { Telemetry } from '../../../src/util/telemetry.ts';
import { Turn } from '../../../src/util/turn.ts';
import { TurnClock } from '../../../src/util/turn-clock.ts';
import { clientMessage } from '../../support/transcript.ts';

const server = net.createServer();
afterEach(() => void server.close());

/** A port of which no method may be called. */
function absent<T extends object>(): T {
  return new Proxy({} as T, { get: (_, name) => () => assert(false, `${String(name)} is out of order`) });
}

test('a defect of ours ends the client that met it, is logged, and leaves the turn as it was', async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect(port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [net.Socket];
  const events: string[] = [];
  const telemetry: Telemetry = { log: (level, event) => void events.push(`${level} ${event}`) };
  const turn = new Turn();
  const clock = new TurnClock(realClock, turn, () => undefined);
  const measures = new Measures();
  let gone = 0;
  const parts: Omit<SessionParts, 'client' | 'onBug'> = {
    leases: absent(),
    topology: absent(),
    statements: absent(),
    registry: new StatementRegistry(1000),
    clock,
    measures,
    speeds: new ShapeSpeeds(),
    lifts: absent(),
    policy: { consistency: 'session', transactions: 'declared', whenNoReplica: 'primary', fenceWaitMs: 0, rule: null },
    random: () => 0,
  };
  const limits = { maxParseBytes: 1024, batchBytes: 1024, heldReplyBytes: 0, statementsPerClient: 1 };
  const subject = new SessionClient(
    accepted,
    { user: 'app', processId: 1, secretKey: Buffer.alloc(4) },
    {
      turn,
      clock,
      measures,
      telemetry,
      timeouts: () => ({ idleInTransactionTimeoutMs: 0, clientIdleTimeoutMs: 0, queryTimeoutMs: 0 }),
      cancelOn: () => Promise.resolve(),
      gone: () => gone++,
    },
    parts,
    {
      mode: 'split',
      origin: { lastPrimaryMs: Number.NEGATIVE_INFINITY },
      baseSettings: SettingsSet.empty,
      reported: new Map(),
      own: new Map(),
      sessionPool: false,
      sharedReads: false,
      preparedReads: false,
      limits,
    },
    new Partition({ user: 'app', database: 'app', parameters: new Map() }, { kind: 'none' }, ''),
  );
  subject.start(Buffer.alloc(0), Buffer.alloc(0));
  client.write(clientMessage('Query', 'SELECT 1'));
  const said = (await buffer(client)).toString('latin1');
  expect(said).toContain('SFATAL\0VFATAL\0CXX000\0');
  expect(events).toEqual(['error bug']);
  expect(turn.running).toBe(false);
  await expect.poll(() => gone).toBe(1);
});
