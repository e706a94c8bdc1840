import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Conversation, mayBeSentAtOnce } from '../support/conversation.ts';
import { EXTENDED } from '../support/conversations/extended.ts';
import { FIDELITY } from '../support/conversations/fidelity.ts';
import { FOUND } from '../support/conversations/found.ts';
import { SIMPLE } from '../support/conversations/simple.ts';
import { STATE } from '../support/conversations/state.ts';
import { TRANSACTIONS } from '../support/conversations/transactions.ts';
import { asPgweirMaySay, Differential } from '../support/differential.ts';

/**
 * The conversations of `differential.test.ts` where every read that may be shared is: there a lone client has its connection to
 * itself. Each is told often enough for its statements to be known as quick. Those of COPY are left out, which is never shared.
 */
let sides: Differential;

const TIMES = 4;

beforeAll(async () => {
  sides = await Differential.start({ timeoutMs: 10_000, busy: true });
});

afterAll(() => sides?.[Symbol.asyncDispose]());

async function expectSame(told: Conversation): Promise<void> {
  const expected = await sides.direct(told, { kind: 'whole' });
  for (let time = 1; time <= TIMES; time++) {
    const heard = await sides.through(told, { kind: 'whole' });
    expect(heard, `time ${time}`).toEqual(asPgweirMaySay(expected, heard));
  }
  if (!mayBeSentAtOnce(told)) return;
  const heard = await sides.through(told, { kind: 'without waiting' });
  expect(heard, 'without waiting').toEqual(asPgweirMaySay(await sides.direct(told, { kind: 'without waiting' }), heard));
}

const shared = () => sides.metric('pgweir_shared_reads_total');

describe.each([
  ['simple', SIMPLE],
  ['extended', EXTENDED],
  ['transactions', TRANSACTIONS],
  ['state', STATE],
  ['fidelity', FIDELITY],
  ['found by chance', FOUND],
])('%s', (_group, conversations) => {
  test.each(conversations.map((told) => [told.name, told] as const))('%s', (_name, told) => expectSame(told));
});

test('reads were shared in them, and the pools are whole', async () => {
  console.log(`${await shared()} reads were shared`);
  expect(await shared()).toBeGreaterThan(1_000);
  await sides.calmDown();
});
