import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SessionContext } from '../../../src/routing/context.ts';
import { decide, decideBatch } from '../../../src/routing/decide.ts';
import { REASONS } from '../../../src/routing/explain.ts';
import type { RoutingPolicy } from '../../../src/routing/policy.ts';
import type { EffectReason, Facts, StatementFacts } from '../../../src/sql/facts.ts';
import { context, control, EVENTUAL, facts, PRIMARY, replica, SESSION, viewOf } from './fixtures.ts';

const VIEW = viewOf(PRIMARY, replica(1), replica(2));

const READ = facts();
const WRITE = facts({ effect: 'write', reason: 'data modification' });
const VOLATILE = facts({ effect: 'unknown', reason: 'volatile function' });
const LOCK = facts({ effect: 'write', reason: 'differs on a standby' });
const SEQUENCE = facts({ effect: 'write', reason: 'sequence' });
const UNREADABLE = facts({ effect: 'unknown', reason: 'text does not parse' });

const begin = (modes = {}): Facts => control({ kind: 'begin', modes });
const hinted = (route: 'primary' | 'replica', base: Facts = READ): Facts => ({ ...base, hint: { route } });

type Case = readonly [what: string, batch: readonly Facts[], session: Partial<SessionContext>, expected: string];

const cases: readonly Case[] = [
  // Facts.
  ['a read', [READ], {}, 'replica: plain read'],
  ['a write', [WRITE], {}, 'primary: data modification'],
  ['a volatile function', [VOLATILE], {}, 'primary: volatile function'],
  ['what does not parse', [UNREADABLE], {}, 'primary: text does not parse'],
  ['an advisory lock', [LOCK], {}, 'primary: differs on a standby'],
  ['an empty batch', [], {}, 'replica: empty query'],
  // Batches: the union decides.
  ['two reads', [READ, facts({ reason: 'SHOW' })], {}, 'replica: plain read'],
  ['control and a read', [facts({ reason: 'session control' }), READ], {}, 'replica: plain read'],
  ['a read and a write', [READ, WRITE], {}, 'primary: data modification'],
  ['a write outranks an unknown before it', [VOLATILE, WRITE], {}, 'primary: data modification'],
  ['of two unknowns the one that nothing speaks for', [READ, VOLATILE, UNREADABLE], {}, 'primary: text does not parse'],
  ['which no hint overrules', [hinted('replica', VOLATILE), UNREADABLE], {}, 'primary: text does not parse'],
  // Hints, settings, rules.
  ['a hint for the primary', [hinted('primary')], {}, 'primary: hint'],
  ['one hint for the primary is for all', [hinted('replica'), hinted('primary'), hinted('replica')], {}, 'primary: hint'],
  ['a hint for a replica', [hinted('replica')], {}, 'replica: hint'],
  ['a hint never makes a write go to a replica', [hinted('replica', WRITE)], {}, 'primary: data modification'],
  ['nor what differs there', [hinted('replica', LOCK)], {}, 'primary: differs on a standby'],
  ['nor what nobody could read', [hinted('replica', UNREADABLE)], {}, 'primary: text does not parse'],
  ['but it speaks for what is only not proven', [hinted('replica', VOLATILE)], {}, 'replica: hint'],
  ['a hint in a batch speaks for all of it', [hinted('replica'), VOLATILE], {}, 'replica: hint'],
  ['the setting', [READ], { routeSetting: 'primary' }, 'primary: setting'],
  ['the setting for a replica', [VOLATILE], { routeSetting: 'replica' }, 'replica: setting'],
  ['the setting for a replica and a write', [WRITE], { routeSetting: 'replica' }, 'primary: data modification'],
  ['a hint is stronger than the setting', [hinted('replica')], { routeSetting: 'primary' }, 'replica: hint'],
  ['a rule', [READ], { rule: 'primary' }, 'primary: rule'],
  ['a rule for a replica', [READ], { rule: 'replica' }, 'replica: rule'],
  ['a rule for a replica and a write', [WRITE], { rule: 'replica' }, 'primary: data modification'],
  ['the setting is stronger than a rule', [READ], { routeSetting: 'replica', rule: 'primary' }, 'replica: setting'],
  // Where the session is bound.
  ['in a transaction on the primary', [READ], { transactionOn: 'primary' }, 'primary: in transaction'],
  ['in a transaction on a replica', [WRITE], { transactionOn: 'replica' }, 'replica: in transaction'],
  ['pinned', [hinted('replica')], { pinnedTo: 'primary' }, 'primary: pinned'],
  ['pinned and in a transaction', [READ], { pinnedTo: 'primary', transactionOn: 'primary' }, 'primary: in transaction'],
  // Listeners and encodings.
  ['through the read-only listener', [WRITE], { mode: 'read-only' }, 'replica: read-only listener'],
  ['even with a hint', [hinted('primary')], { mode: 'read-only' }, 'replica: read-only listener'],
  ['with an encoding that hides', [hinted('replica')], { scanSafe: false }, 'primary: encoding not safe to scan'],
  // Transactions.
  ['one that may write', [READ], { beginning: {} }, 'primary: read-write transaction'],
  ['one that may write, with a hint for a replica', [hinted('replica')], { beginning: {} }, 'primary: read-write transaction'],
  ['declared read-only', [READ], { beginning: { readOnly: true } }, 'replica: read-only transaction'],
  ['read-only, but the primary is wished for', [hinted('primary')], { beginning: { readOnly: true } }, 'primary: hint'],
  ['read-only, with a function nobody knows', [VOLATILE], { beginning: { readOnly: true } }, 'replica: read-only transaction'],
  ['read-only, beginning with a lock', [LOCK], { beginning: { readOnly: true } }, 'primary: differs on a standby'],
  ['read-only, beginning with nextval', [SEQUENCE], { beginning: { readOnly: true } }, 'primary: sequence'],
  [
    'read-only, beginning with what cannot be read',
    [UNREADABLE],
    { beginning: { readOnly: true } },
    'primary: text does not parse',
  ],
  [
    'read-only and serializable',
    [READ],
    { beginning: { readOnly: true, isolation: 'serializable' } },
    'primary: serializable transaction',
  ],
  [
    'read-only, repeatable read',
    [READ],
    { beginning: { readOnly: true, isolation: 'repeatable read' } },
    'replica: read-only transaction',
  ],
  ['read-only by default', [READ], { beginning: {}, defaultReadOnly: true }, 'replica: read-only transaction'],
  [
    'read-only by default, declared otherwise',
    [READ],
    { beginning: { readOnly: false }, defaultReadOnly: true },
    'primary: read-write transaction',
  ],
  [
    'serializable by default',
    [READ],
    { beginning: { readOnly: true }, defaultIsolation: 'serializable' },
    'primary: serializable transaction',
  ],
  [
    'serializable by default, declared otherwise',
    [READ],
    { beginning: { readOnly: true, isolation: 'read committed' }, defaultIsolation: 'serializable' },
    'replica: read-only transaction',
  ],
  [
    'with the snapshot of another',
    [READ],
    { beginning: { readOnly: true }, importsSnapshot: true },
    'primary: differs on a standby',
  ],
  // Defaults outside of transactions.
  ['autocommit, read-only by default', [VOLATILE], { defaultReadOnly: true }, 'replica: read-only transaction'],
  ['autocommit, read-only by default, a read', [READ], { defaultReadOnly: true }, 'replica: plain read'],
  ['autocommit, read-only by default, a write', [WRITE], { defaultReadOnly: true }, 'primary: data modification'],
  ['autocommit, serializable by default', [READ], { defaultIsolation: 'serializable' }, 'primary: serializable transaction'],
  // Transactions within one batch.
  ['BEGIN and a read', [begin(), READ], {}, 'primary: read-write transaction'],
  ['BEGIN READ ONLY and a read', [begin({ readOnly: true }), READ], {}, 'replica: read-only transaction'],
  [
    'BEGIN READ ONLY, a read and COMMIT',
    [begin({ readOnly: true }), READ, control({ kind: 'commit', chain: false })],
    {},
    'replica: read-only transaction',
  ],
  [
    'BEGIN and SET TRANSACTION READ ONLY',
    [begin(), control({ kind: 'set transaction', modes: { readOnly: true }, snapshot: false }), READ],
    {},
    'replica: read-only transaction',
  ],
  [
    'SET TRANSACTION for the one that began before',
    [control({ kind: 'set transaction', modes: { readOnly: true }, snapshot: false }), READ],
    { beginning: {} },
    'replica: read-only transaction',
  ],
  [
    'the last declaration counts',
    [begin({ readOnly: true }), control({ kind: 'set transaction', modes: { readOnly: false }, snapshot: false }), READ],
    {},
    'primary: read-write transaction',
  ],
  [
    'with a snapshot',
    [begin({ readOnly: true }), control({ kind: 'set transaction', modes: {}, snapshot: true }), READ],
    {},
    'primary: differs on a standby',
  ],
  [
    'two transactions',
    [begin({ readOnly: true }), READ, control({ kind: 'rollback', chain: false }), VOLATILE],
    {},
    'primary: not proven a read',
  ],
  [
    'a chained one',
    [begin({ readOnly: true }), READ, control({ kind: 'commit', chain: true }), READ],
    {},
    'primary: not proven a read',
  ],
  [
    'a changed default',
    [control({ kind: 'set characteristics', modes: { isolation: 'serializable' } }), READ],
    {},
    'primary: not proven a read',
  ],
  ['a changed setting of transactions', [setting('default_transaction_isolation'), READ], {}, 'primary: not proven a read'],
  ['another changed setting', [setting('work_mem'), READ], {}, 'replica: plain read'],
  ['all settings reset', [control({ kind: 'reset all' }), READ], {}, 'primary: not proven a read'],
];

function setting(name: string): Facts {
  const set: StatementFacts = { kind: 'set', name, value: 'on', toDefault: false, local: false, returnsRow: false };
  return control(set);
}

describe('a batch goes', () => {
  it.each(cases)('%s', (_, batch, session, expected) => {
    const { target, reason } = decideBatch(batch, context(session), VIEW, SESSION);
    expect(`${target}: ${reason}`).toBe(expected);
  });

  it('the same way as its only text', () => {
    for (const [, batch, session] of cases) {
      const [only, second] = batch;
      if (only === undefined || second !== undefined) continue;
      expect(decide(only, context(session), VIEW, SESSION)).toBe(decideBatch(batch, context(session), VIEW, SESSION));
    }
  });
});

describe('without an eligible replica a read', () => {
  const decided = (session: Partial<SessionContext>, view = VIEW, policy = SESSION) => {
    const { target, reason } = decide(READ, context(session), view, policy);
    return `${target}: ${reason}`;
  };
  const lagging = viewOf(PRIMARY, replica(1, { problem: 'lag over max_lag' }));

  it.each([
    ['goes to the primary', {}, lagging, SESSION, 'primary: no eligible replica'],
    ['that no backend could be', {}, viewOf(PRIMARY), SESSION, 'primary: no replica configured'],
    ['with a hint, too', { routeSetting: 'replica' }, lagging, SESSION, 'primary: no eligible replica'],
    ['in a read-only transaction, too', { beginning: { readOnly: true } }, lagging, SESSION, 'primary: no eligible replica'],
    ['fails when it is to', {}, lagging, { ...SESSION, whenNoReplica: 'error' }, 'replica: no eligible replica'],
    ['fails on the read-only listener', { mode: 'read-only' }, lagging, SESSION, 'replica: no eligible replica'],
    ['that must see more says so', { nowMs: 9, lastPrimaryMs: 5 }, VIEW, SESSION, 'primary: fence not reached'],
    ['that may be stale does not mind', { nowMs: 9, lastPrimaryMs: 5 }, VIEW, EVENTUAL, 'replica: plain read'],
    ['must be fresh for its bound on staleness', { nowMs: 9, maxStalenessMs: 8 }, VIEW, EVENTUAL, 'primary: fence not reached'],
    ['stays in its transaction', { transactionOn: 'replica' }, lagging, SESSION, 'replica: in transaction'],
    ['stays where it is pinned', { pinnedTo: 'replica' }, lagging, SESSION, 'replica: pinned'],
  ] as const)('%s', (_, session, view, policy, expected) => {
    expect(decided(session, view, policy)).toBe(expected);
  });
});

describe('tried on a replica, a transaction that is not declared read-only', () => {
  const OPTIMISTIC: RoutingPolicy = { ...SESSION, transactions: 'optimistic' };
  const lagging = viewOf(PRIMARY, replica(1, { problem: 'lag over max_lag' }));

  it.each([
    ['begins there with a read', [READ], { beginning: {} }, VIEW, 'replica: optimistic transaction'],
    ['in one batch, too', [begin(), READ], {}, VIEW, 'replica: optimistic transaction'],
    ['not with a write', [WRITE], { beginning: {} }, VIEW, 'primary: read-write transaction'],
    ['not with what may write', [VOLATILE], { beginning: {} }, VIEW, 'primary: read-write transaction'],
    ['not when it is to write', [READ], { beginning: { readOnly: false } }, VIEW, 'primary: read-write transaction'],
    [
      'not with one snapshot for all',
      [READ],
      { beginning: { isolation: 'repeatable read' } },
      VIEW,
      'primary: read-write transaction',
    ],
    [
      'not with one snapshot by default',
      [READ],
      { beginning: {}, defaultIsolation: 'repeatable read' },
      VIEW,
      'primary: read-write transaction',
    ],
    [
      'but READ COMMITTED by its own word',
      [READ],
      { beginning: { isolation: 'read committed' }, defaultIsolation: 'serializable' },
      VIEW,
      'replica: optimistic transaction',
    ],
    ['not when a hint forbids', [hinted('primary')], { beginning: {} }, VIEW, 'primary: hint'],
    ['goes to the primary when no replica will do', [READ], { beginning: {} }, lagging, 'primary: no eligible replica'],
  ] as const)('%s', (_, batch, session, view, expected) => {
    for (const whenNoReplica of ['primary', 'error'] as const) {
      const { target, reason } = decideBatch(batch, context(session), view, { ...OPTIMISTIC, whenNoReplica });
      expect(`${target}: ${reason}`).toBe(expected);
    }
  });

  it('declared read-only is as ever', () => {
    const route = decideBatch([VOLATILE], context({ beginning: { readOnly: true } }), VIEW, OPTIMISTIC);
    expect(route).toBe(decideBatch([VOLATILE], context({ beginning: { readOnly: true } }), VIEW, SESSION));
  });
});

describe('whatever is asked for', () => {
  const target = fc.constantFrom('primary' as const, 'replica' as const, 'replica' as const, null, null, null);
  const modes = fc.record(
    {
      readOnly: fc.boolean(),
      isolation: fc.constantFrom('serializable' as const, 'repeatable read' as const, 'read committed' as const),
    },
    { requiredKeys: [] },
  );
  const session = fc.record({
    beginning: fc.option(modes),
    defaultReadOnly: fc.boolean(),
    defaultIsolation: fc.constantFrom('serializable', 'repeatable read', null, null),
    scanSafe: fc.constantFrom(true, true, true, false),
    routeSetting: target,
    rule: target,
  });
  const NEVER: readonly EffectReason[] = [
    'text does not parse',
    'text too long to parse',
    'encoding not safe to scan',
    'not proven a read',
  ];
  const anyFacts = fc.record({
    effect: fc.constantFrom('read' as const, 'read' as const, 'unknown' as const, 'write' as const),
    unknown: fc.constantFrom('volatile function' as const, 'unknown function' as const, 'catalog not loaded' as const, ...NEVER),
    route: target,
  });
  const toFacts = ({
    effect,
    unknown,
    route,
  }: {
    effect: Facts['effect'];
    unknown: EffectReason;
    route: 'primary' | 'replica' | null;
  }) =>
    facts({
      effect,
      reason: effect === 'read' ? 'plain read' : effect === 'write' ? 'data modification' : unknown,
      hint: route === null ? null : { route },
    });

  it('no write, nothing unreadable and no serializable transaction goes to a replica', () => {
    let replicas = 0;
    fc.assert(
      fc.property(fc.array(anyFacts, { minLength: 1, maxLength: 3 }), session, (parts, declared) => {
        const batch = parts.map(toFacts);
        const route = decideBatch(batch, context(declared), VIEW, SESSION);
        if (route.target === 'primary') return;
        replicas++;
        expect(batch.some(({ effect }) => effect === 'write')).toBe(false);
        expect(batch.some(({ reason }) => NEVER.includes(reason))).toBe(false);
        const isolation = declared.beginning?.isolation ?? declared.defaultIsolation;
        expect(isolation).not.toBe('serializable');
        if (declared.beginning !== null) expect(declared.beginning.readOnly ?? declared.defaultReadOnly).toBe(true);
        expect(declared.scanSafe).toBe(true);
      }),
      { numRuns: 3000 },
    );
    expect(replicas).toBeGreaterThan(100);
  });

  it('equal decisions are one object, and every reason has an explanation', () => {
    fc.assert(
      fc.property(fc.array(anyFacts, { minLength: 1, maxLength: 3 }), session, (parts, declared) => {
        const route = decideBatch(parts.map(toFacts), context(declared), VIEW, SESSION);
        expect(decideBatch(parts.map(toFacts), context(declared), VIEW, SESSION)).toBe(route);
        expect(REASONS[route.reason]).toBeTypeOf('string');
      }),
    );
  });
});
