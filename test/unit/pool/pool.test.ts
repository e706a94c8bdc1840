import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Pool, type PoolLimits, type PoolMember } from '../../../src/pool/pool.ts';
import { OperationalError } from '../../../src/util/errors.ts';
import { ManualClock } from '../topology/manual-clock.ts';

interface Member extends PoolMember<string> {
  readonly id: number;
  usable: boolean;
  closed: boolean;
}

const LIMITS: PoolLimits = {
  maxPerBackend: 2,
  maxWaiters: 100,
  waitTimeoutMs: 10_000,
  idleTimeoutMs: 60_000,
  maxLifetimeMs: 600_000,
  minIdle: 0,
};

/** A pool whose members are opened when the test says so. */
class Bench {
  readonly clock = new ManualClock();
  readonly members: Member[] = [];
  readonly opening: { readonly kind: string; readonly end: (how: 'opened' | Error) => Promise<void> }[] = [];
  readonly pool: Pool<string, Member>;
  turns = 0;

  constructor(limits: Partial<PoolLimits> = {}) {
    this.pool = new Pool<string, Member>({
      name: 'pg-1',
      limits: { ...LIMITS, ...limits },
      clock: this.clock,
      open: (kind) => this.#open(kind),
      close: (member) => {
        expect(member.closed).toBe(false);
        member.closed = true;
      },
      turn: (work) => {
        this.turns++;
        work();
      },
    });
  }

  get openMembers(): number {
    return this.members.filter(({ closed }) => !closed).length;
  }

  async opened(): Promise<void> {
    await this.opening.shift()?.end('opened');
  }

  take(kind: string): Member | null {
    return this.pool.take(kind, () => 1);
  }

  #open(kind: string): Promise<Member> {
    const { promise, resolve, reject } = Promise.withResolvers<Member>();
    const end = async (how: 'opened' | Error) => {
      if (how === 'opened') {
        const now = this.clock.now();
        const member = {
          id: this.members.length,
          kind,
          usable: true,
          closed: false,
          lent: false,
          openedAtMs: now,
          idleSinceMs: now,
        };
        this.members.push(member);
        resolve(member);
      } else reject(how);
      await Promise.resolve();
      await Promise.resolve();
      await Promise.resolve();
    };
    this.opening.push({ kind, end });
    return promise;
  }
}

class Waiter {
  member: Member | null = null;
  error: Error | null = null;
  calls = 0;

  granted(member: Member): void {
    this.calls++;
    this.member = member;
  }

  refused(error: Error): void {
    this.calls++;
    this.error = error;
  }

  get kindOfError(): string | null {
    return this.error instanceof OperationalError ? this.error.kind : null;
  }
}

async function borrowed(bench: Bench, kind: string): Promise<Member> {
  const waiter = new Waiter();
  bench.pool.wait(kind, waiter);
  await bench.opened();
  if (waiter.member === null) throw new Error('nothing was granted');
  return waiter.member;
}

describe('members', () => {
  test('are opened for who waits, and granted inside a turn', async () => {
    const bench = new Bench();
    const member = await borrowed(bench, 'a');
    expect([member.kind, bench.turns, bench.pool.counts]).toEqual(['a', 1, { idle: 0, lent: 1, opening: 0, waiting: 0 }]);
  });

  test('are lent last in, first out, but for one that is preferred', async () => {
    const bench = new Bench();
    const [first, second] = [await borrowed(bench, 'a'), await borrowed(bench, 'a')];
    bench.pool.give(first);
    bench.pool.give(second);
    expect(bench.take('a')).toBe(second);
    bench.pool.give(second);
    expect(bench.pool.take('a', ({ id }) => (id === first.id ? 2 : 1))).toBe(first);
    expect(bench.pool.take('a', () => 0)).toBeNull();
    expect(bench.pool.takeThis(second)).toBe(true);
    expect(bench.pool.takeThis(second)).toBe(false);
  });

  test('are opened for who wants a new one, though others are idle', async () => {
    const bench = new Bench();
    const idle = await borrowed(bench, 'a');
    bench.pool.give(idle);
    const waiter = new Waiter();
    bench.pool.waitForNew('a', waiter);
    expect(bench.pool.counts).toEqual({ idle: 1, lent: 0, opening: 1, waiting: 0 });
    await bench.opened();
    expect(waiter.member).not.toBe(idle);
    expect(bench.pool.counts).toEqual({ idle: 1, lent: 1, opening: 0, waiting: 0 });
  });

  test('idle ones make room for a new one; a full pool serves what comes back', async () => {
    const bench = new Bench({ maxPerBackend: 1 });
    const first = await borrowed(bench, 'a');
    const patient = new Waiter();
    bench.pool.waitForNew('a', patient);
    bench.pool.give(first);
    expect(patient.member).toBe(first);
    bench.pool.give(first);
    const second = new Waiter();
    bench.pool.waitForNew('a', second);
    expect(first.closed).toBe(true);
    await bench.opened();
    expect(second.member?.id).toBe(1);
  });

  test('opened for somebody who has given up serve others; a failure is told to who wanted it', async () => {
    const bench = new Bench();
    const gone = new Waiter();
    bench.pool.waitForNew('a', gone)();
    await bench.opened();
    expect([gone.calls, bench.pool.counts]).toEqual([0, { idle: 1, lent: 0, opening: 0, waiting: 0 }]);
    const unlucky = new Waiter();
    bench.pool.waitForNew('a', unlucky);
    await bench.opening.shift()?.end(new Error('refused'));
    expect([unlucky.error?.message, bench.pool.counts.opening]).toEqual(['refused', 0]);
  });

  test('are not lent to another kind, nor beyond use', async () => {
    const bench = new Bench();
    const member = await borrowed(bench, 'a');
    bench.pool.give(member);
    expect(bench.take('b')).toBeNull();
    member.usable = false;
    expect(bench.take('a')).toBeNull();
  });

  test('that are unusable or too old when they come back are closed', async () => {
    const bench = new Bench();
    const [broken, old] = [await borrowed(bench, 'a'), await borrowed(bench, 'a')];
    broken.usable = false;
    bench.pool.give(broken);
    bench.clock.advance(LIMITS.maxLifetimeMs + 1);
    bench.pool.give(old);
    expect([broken.closed, old.closed, bench.pool.counts.idle]).toEqual([true, true, 0]);
  });

  test('over a limit that was lowered are closed when they come back', async () => {
    const bench = new Bench();
    const [one, two] = [await borrowed(bench, 'a'), await borrowed(bench, 'a')];
    bench.pool.limitsChanged({ ...LIMITS, maxPerBackend: 1 });
    bench.pool.give(one);
    bench.pool.give(two);
    expect([one.closed, two.closed]).toEqual([true, false]);
  });

  test('idle for too long are closed, down to those that are to be kept', async () => {
    const bench = new Bench({ minIdle: 1, maxPerBackend: 3 });
    const all = [await borrowed(bench, 'a'), await borrowed(bench, 'a'), await borrowed(bench, 'b')];
    for (const member of all) bench.pool.give(member);
    for (let passed = 0; passed <= LIMITS.idleTimeoutMs + 1000; passed += 1000) bench.clock.advance(1000);
    expect(bench.pool.counts.idle).toBe(2);
    expect(all.filter(({ kind, closed }) => kind === 'a' && !closed)).toHaveLength(1);
  });

  test('that ended by themselves are forgotten, lent or idle, and make room', async () => {
    const bench = new Bench({ maxPerBackend: 1 });
    const member = await borrowed(bench, 'a');
    const waiter = new Waiter();
    bench.pool.wait('a', waiter);
    expect(bench.opening).toHaveLength(0);
    bench.pool.lost(member);
    bench.pool.lost(member);
    bench.pool.give(member);
    expect(bench.pool.counts).toEqual({ idle: 0, lent: 0, opening: 1, waiting: 1 });
  });
});

describe('waiters', () => {
  test('of one kind are served in their order', async () => {
    const bench = new Bench({ maxPerBackend: 1 });
    const member = await borrowed(bench, 'a');
    const waiters = [new Waiter(), new Waiter()];
    for (const waiter of waiters) bench.pool.wait('a', waiter);
    bench.pool.give(member);
    expect(waiters.map(({ member }) => member)).toEqual([member, null]);
  });

  test('make an idle member of another kind give way', async () => {
    const bench = new Bench({ maxPerBackend: 1 });
    const idle = await borrowed(bench, 'a');
    bench.pool.give(idle);
    await borrowed(bench, 'b');
    expect(idle.closed).toBe(true);
  });

  test('of another kind are passed by for a while, not for ever', async () => {
    const bench = new Bench({ maxPerBackend: 1 });
    const member = await borrowed(bench, 'a');
    const [other, same, later] = [new Waiter(), new Waiter(), new Waiter()];
    bench.pool.wait('b', other);
    bench.pool.wait('a', same);
    bench.pool.give(member);
    expect(same.member).toBe(member);
    bench.pool.wait('a', later);
    bench.clock.advance(1000);
    bench.pool.give(member);
    await bench.opened();
    expect([other.member?.kind, later.member, member.closed]).toEqual(['b', null, true]);
  });

  test('are not forgotten when the member they could have had made room for one who is being served already', async () => {
    const bench = new Bench({ maxPerBackend: 2 });
    const member = await borrowed(bench, 'a');
    const [other, same] = [new Waiter(), new Waiter()];
    bench.pool.wait('b', other);
    bench.pool.wait('a', same);
    bench.clock.advance(1000);
    bench.pool.give(member);
    expect(bench.opening.map(({ kind }) => kind)).toEqual(['b', 'a']);
    await bench.opened();
    await bench.opened();
    expect([other.member?.kind, same.member?.kind]).toEqual(['b', 'a']);
  });

  test('are refused at once over their limit, and by a pool that is closed', () => {
    const bench = new Bench({ maxWaiters: 0 });
    const [over, late] = [new Waiter(), new Waiter()];
    bench.pool.wait('a', over);
    bench.pool.close();
    bench.pool.wait('a', late);
    expect([over.kindOfError, late.kindOfError]).toEqual(['too_many_waiters', 'shutting_down']);
  });

  test('are refused in time, and what is opened for them all the same is kept', async () => {
    const bench = new Bench();
    const waiter = new Waiter();
    bench.pool.wait('a', waiter);
    bench.clock.advance(LIMITS.waitTimeoutMs);
    expect(waiter.kindOfError).toBe('pool_wait_timeout');
    await bench.opened();
    expect([waiter.calls, bench.pool.counts]).toEqual([1, { idle: 1, lent: 0, opening: 0, waiting: 0 }]);
  });

  test('hear why nothing could be opened, each for itself', async () => {
    const bench = new Bench({ maxPerBackend: 1 });
    const waiters = [new Waiter(), new Waiter()];
    for (const waiter of waiters) bench.pool.wait('a', waiter);
    await bench.opening.shift()?.end(new Error('down'));
    expect(waiters.map(({ error }) => error?.message)).toEqual(['down', undefined]);
    await bench.opened();
    expect(waiters[1]?.member?.kind).toBe('a');
  });

  test('that gave up hear nothing', async () => {
    const bench = new Bench();
    const waiter = new Waiter();
    bench.pool.wait('a', waiter)();
    bench.clock.advance(LIMITS.waitTimeoutMs);
    await bench.opened();
    expect([waiter.calls, bench.pool.counts.idle]).toEqual([0, 1]);
  });

  test('are refused, and idle members closed, when the pool is closed; lent ones when they come back', async () => {
    const bench = new Bench();
    const [lent, idle] = [await borrowed(bench, 'a'), await borrowed(bench, 'a')];
    bench.pool.give(idle);
    const waiter = new Waiter();
    bench.pool.wait('b', waiter);
    bench.pool.close();
    expect([waiter.kindOfError, idle.closed, lent.closed]).toEqual(['shutting_down', true, false]);
    bench.pool.give(lent);
    await bench.opened();
    expect([lent.closed, bench.openMembers]).toEqual([true, 0]);
  });
});

/** What a test may do next, by number. */
type Act = readonly [what: 'wait' | 'take' | 'give' | 'break' | 'open' | 'fail' | 'lose' | 'quit' | 'pass', which: number];

test('whatever happens, nobody shares, the limit holds, and everybody is answered once', async () => {
  const act = fc.tuple(
    fc.constantFrom<Act[0]>('wait', 'wait', 'take', 'give', 'give', 'break', 'open', 'open', 'fail', 'lose', 'quit', 'pass'),
    fc.nat(5),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
      const bench = new Bench({ maxPerBackend: 3 });
      const lent: Member[] = [];
      const waiters: { readonly kind: string; readonly waiter: Waiter; readonly quit: () => void; over: boolean }[] = [];
      for (const [what, which] of acts) {
        const kind = 'abc'[which % 3] ?? 'a';
        const member = lent[which % Math.max(1, lent.length)];
        const drop = () => lent.splice(lent.indexOf(member as Member), 1);
        if (what === 'take' || what === 'wait') {
          // Nobody waits for what is there.
          const taken = bench.take(kind);
          if (taken !== null) {
            expect(lent).not.toContain(taken);
            expect(taken.kind).toBe(kind);
            lent.push(taken);
          } else if (what === 'wait') {
            const waiter = new Waiter();
            waiters.push({ kind, waiter, quit: bench.pool.wait(kind, waiter), over: false });
          }
        } else if (what === 'open') await bench.opened();
        else if (what === 'fail') await bench.opening.shift()?.end(new Error('down'));
        else if (what === 'pass') bench.clock.advance(60);
        else if (what === 'quit') {
          const entry = waiters[which];
          if (entry !== undefined) {
            entry.quit();
            entry.over = true;
          }
        } else if (member !== undefined) {
          drop();
          if (what === 'break') member.usable = false;
          if (what === 'lose') bench.pool.lost(member);
          else bench.pool.give(member);
        }
        for (const entry of waiters) {
          const { member: granted, calls } = entry.waiter;
          expect(calls).toBeLessThanOrEqual(1);
          if (calls === 0 || entry.over) continue;
          entry.over = true;
          if (granted === null) continue;
          expect(lent).not.toContain(granted);
          lent.push(granted);
        }
        const { idle, opening, lent: counted } = bench.pool.counts;
        expect(counted).toBe(lent.length);
        expect(idle + counted + opening).toBeLessThanOrEqual(3);
        // Where there is room, whoever waits is being served.
        if (counted + opening >= 3) continue;
        const kinds = bench.opening.map((entry) => entry.kind);
        for (const entry of waiters) if (!entry.over) expect(kinds).toContain(entry.kind);
      }
      for (const member of lent.splice(0)) bench.pool.give(member);
      // What is given back goes to who waits, who gives it back, too.
      while (bench.opening.length > 0 || bench.pool.counts.lent > 0) {
        for (const { waiter } of waiters) if (waiter.member?.lent) bench.pool.give(waiter.member);
        await bench.opened();
      }
      expect(bench.pool.counts.waiting).toBe(0);
      expect(bench.pool.counts.lent).toBe(0);
    }),
    { numRuns: 300 },
  );
});
