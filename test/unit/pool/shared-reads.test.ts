import { setImmediate as nextRound } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BackendConnection } from '../../../src/backend/connection.ts';
import { Segment, type SegmentSink } from '../../../src/backend/exchange.ts';
import type { Sharer } from '../../../src/backend/lease.ts';
import { loadBackendTls } from '../../../src/backend/tls.ts';
import { BackendPool } from '../../../src/pool/backend-pool.ts';
import { Leases } from '../../../src/pool/leases.ts';
import { Partition } from '../../../src/pool/partition.ts';
import type { SharedConnection } from '../../../src/pool/shared-connection.ts';
import { Measures } from '../../../src/util/measures.ts';
import { silentTelemetry } from '../../../src/util/telemetry.ts';
import { Turn } from '../../../src/util/turn.ts';
import { type Conversation, FakeBackend } from '../../support/fake-backend.ts';
import { backendMessage } from '../../support/transcript.ts';
import { ManualClock } from '../topology/manual-clock.ts';

const READY = backendMessage('ReadyForQuery', 'I');
const NO_TLS = loadBackendTls({ mode: 'disable', caFile: null, certFile: null, keyFile: null });
/** Longer than shared connections are let be stuck, or idle. */
const LONG_MS = 10_000;

const limits = {
  maxPerBackend: 3,
  maxWaiters: 100,
  waitTimeoutMs: 60_000,
  idleTimeoutMs: 0,
  maxLifetimeMs: 600_000,
  minIdle: 0,
  statementsPerConnection: 10,
};

/** A pool of three connections to a server that says nothing by itself: two are leases, the third is shared. */
class Bench implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly turn = new Turn();
  readonly pool: BackendPool;
  readonly leases: Leases;
  readonly others: Leases;
  readonly #backend: FakeBackend;
  /** The server's ends, by the process id that each gave out. */
  readonly #conversations: ReadonlyMap<number, Conversation>;

  private constructor(backend: FakeBackend, conversations: ReadonlyMap<number, Conversation>) {
    this.#backend = backend;
    this.#conversations = conversations;
    this.pool = new BackendPool({
      backend: { index: 0, name: 'pg-1', host: backend.host, port: backend.port },
      limits,
      tls: () => NO_TLS,
      clock: this.clock,
      turn: this.turn,
      measures: new Measures(),
      telemetry: silentTelemetry,
    });
    this.leases = this.#leasesOf('app');
    this.others = this.#leasesOf('other');
  }

  static async open(): Promise<Bench> {
    const conversations = new Map<number, Conversation>();
    const greet = async (conversation: Conversation, number: number) => {
      await conversation.hearPacket();
      conversations.set(number, conversation);
      conversation.send(backendMessage('Authentication', 0, ''), backendMessage('BackendKeyData', number, 'abcd'), READY);
      await conversation.untilClosed();
    };
    return new Bench(await FakeBackend.start(greet), conversations);
  }

  lease(leases: Leases): Promise<BackendConnection> {
    const { promise, resolve, reject } = Promise.withResolvers<BackendConnection>();
    this.#inTurn(() => leases.wait(0, { granted: resolve, refused: reject }, 'any'));
    return promise;
  }

  async share(): Promise<SharedConnection> {
    const third = (await Promise.all([this.lease(this.leases), this.lease(this.leases), this.lease(this.leases)]))[2];
    return this.#inTurn(() => {
      this.leases.give(third);
      const shared = this.leases.share(0, third.settings, 0.02);
      if (shared === null) throw new Error('nothing to share');
      return shared;
    });
  }

  /** A session reads: the server is asked and has not answered. */
  read(shared: SharedConnection, sink: SegmentSink, sharer: Sharer): Segment {
    return this.#inTurn(() => {
      const segment = new Segment('forward', sink, null, null);
      shared.join(sink, sharer);
      shared.connection.push(segment);
      return segment;
    });
  }

  /** The server answers the oldest read. */
  async answer({ connection }: SharedConnection): Promise<void> {
    const { served } = connection;
    this.#conversations.get(connection.processId)?.send(READY);
    while (connection.served === served) await nextRound();
  }

  get lent(): number {
    return this.pool.pool.counts.lent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pool.endAll();
    this.pool.pool.close();
    await this.#backend[Symbol.asyncDispose]();
  }

  #leasesOf(user: string): Leases {
    const partition = new Partition({ user, database: 'db', parameters: new Map() }, { kind: 'none' }, 'test');
    return new Leases(partition, [this.pool]);
  }

  #inTurn<T>(work: () => T): T {
    this.turn.enter();
    try {
      return work();
    } finally {
      this.turn.leave();
    }
  }
}

/** A session that notes what it is told. */
class Reader implements SegmentSink, Sharer {
  readonly heard: string[] = [];
  forward = () => void this.heard.push('forward');
  error = () => undefined;
  copyIn = () => undefined;
  ready = () => void this.heard.push('ready');
  parameter = () => false;
  lost = () => void this.heard.push('lost');
  sharedLost = () => void this.heard.push('shared lost');
  sharedMoved = () => void this.heard.push('moved');
  sharedBecameLease = () => void this.heard.push('lease');
  writable = () => undefined;
  broken = () => undefined;
}

let bench: Bench;

beforeEach(async () => {
  bench = await Bench.open();
});

afterEach(() => bench[Symbol.asyncDispose]());

describe('a shared connection', () => {
  test('is left to the session that it is stuck with; those behind it move', async () => {
    const shared = await bench.share();
    const [head, behind] = [new Reader(), new Reader()];
    bench.read(shared, head, head);
    bench.read(shared, behind, behind);
    bench.clock.advance(LONG_MS);
    expect(head.heard).toEqual(['lease']);
    expect(behind.heard).toEqual(['moved']);
    expect(bench.lent).toBe(3);
  });

  test('is ended when the session that it is stuck with has gone', async () => {
    const shared = await bench.share();
    const [head, behind] = [new Reader(), new Reader()];
    bench.read(shared, head, head);
    bench.read(shared, behind, behind);
    shared.drop(head);
    bench.clock.advance(LONG_MS);
    expect(head.heard).toEqual([]);
    expect(behind.heard).toEqual(['moved']);
    expect(shared.connection.closed).toBe(true);
    expect(bench.lent).toBe(2);
  });

  test('has a statement that one session prepares for the others once it is there', async () => {
    const shared = await bench.share();
    const { connection } = shared;
    const [one, other] = [new Reader(), new Reader()];
    const preparing = bench.read(shared, one, one);
    connection.addStatement(7, Buffer.from('seven'), preparing);
    connection.setUnnamed(8, preparing);
    const behind = bench.read(shared, other, other);
    expect(connection.statement(7, preparing)).not.toBe(null);
    expect(connection.statement(7, behind)).toBe(null);
    expect(connection.unnamed(8, behind)).toBe(null);
    await bench.answer(shared);
    expect(connection.statement(7, behind)).not.toBe(null);
    expect(connection.unnamed(8, behind)).not.toBe(null);
  });

  test('goes back to the pool when nobody uses it', async () => {
    const { connection } = await bench.share();
    bench.clock.advance(LONG_MS);
    expect(bench.lent).toBe(2);
    expect(connection.closed).toBe(false);
  });

  test('leaves nothing behind of a user whose last connection is closed, nor does one that never was', async () => {
    const { connection } = await bench.share();
    bench.clock.advance(LONG_MS);
    bench.pool.endAll();
    expect(bench.others.share(0, connection.settings, 0.02)).toBe(null);
    const other = await bench.lease(bench.others);
    bench.others.discard(other);
    expect(bench.pool.shared.size).toBe(0);
  });

  test('makes room for others who wait, however busy it is', async () => {
    const shared = await bench.share();
    const granted = bench.lease(bench.others);
    await busyUntilClosed(shared);
    expect(shared.connection.closed).toBe(true);
    expect((await granted).closed).toBe(false);
  });

  test('is given back when its backend is another than it was, however busy it is', async () => {
    const shared = await bench.share();
    bench.pool.retireAll();
    await busyUntilClosed(shared);
    expect(shared.connection.closed).toBe(true);
  });
});

/** Reads come as long as they are taken: at no time is nothing under way before. */
async function busyUntilClosed(shared: SharedConnection): Promise<void> {
  const reader = new Reader();
  for (let round = 0; round < 30 && !shared.connection.closed; round++) {
    if (shared.open) bench.read(shared, reader, reader);
    if (shared.open && shared.depth < 2) bench.read(shared, reader, reader);
    if (shared.depth > 0) await bench.answer(shared);
    bench.clock.advance(15);
  }
}
