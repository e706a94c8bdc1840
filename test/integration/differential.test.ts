import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Conversation, mayBeSentAtOnce } from '../support/conversation.ts';
import { COPY } from '../support/conversations/copy.ts';
import { EXTENDED } from '../support/conversations/extended.ts';
import { SIMPLE } from '../support/conversations/simple.ts';
import { STATE } from '../support/conversations/state.ts';
import { TRANSACTIONS } from '../support/conversations/transactions.ts';
import { asPgweirMaySay, Differential } from '../support/differential.ts';
import type { Manner } from '../support/player.ts';

/**
 * The same bytes to PostgreSQL and through pgweir, the same replies, byte for byte but for process ids, keys and OIDs of
 * objects that were made on the way.
 */
let sides: Differential;

beforeAll(async () => {
  sides = await Differential.start(10_000);
});

afterAll(() => sides?.[Symbol.asyncDispose]());

async function expectSame(told: Conversation): Promise<void> {
  const manners: Manner[] = [{ kind: 'whole' }, { kind: 'byte by byte' }, { kind: 'cut', seed: told.name.length }];
  const expected = await sides.direct(told, { kind: 'whole' });
  for (const manner of manners) {
    const heard = await sides.through(told, manner);
    expect(heard, JSON.stringify(manner)).toEqual(asPgweirMaySay(expected, heard));
  }
  if (!mayBeSentAtOnce(told)) return;
  const atOnce: Manner = { kind: 'without waiting' };
  const heard = await sides.through(told, atOnce);
  expect(heard, 'without waiting').toEqual(asPgweirMaySay(await sides.direct(told, atOnce), heard));
}

describe.each([
  ['simple', SIMPLE],
  ['extended', EXTENDED],
  ['transactions', TRANSACTIONS],
  ['state', STATE],
  ['copy', COPY],
])('%s', (_group, conversations) => {
  test.each(conversations.map((told) => [told.name, told] as const))('%s', (_name, told) => expectSame(told));
});
