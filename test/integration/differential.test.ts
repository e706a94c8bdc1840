import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BACKEND, FRONTEND } from '../../src/protocol/codes.ts';
import { type Conversation, mayBeSentAtOnce } from '../support/conversation.ts';
import { COPY } from '../support/conversations/copy.ts';
import { DEVIATIONS } from '../support/conversations/deviations.ts';
import { EXTENDED } from '../support/conversations/extended.ts';
import { FIDELITY } from '../support/conversations/fidelity.ts';
import { FOUND } from '../support/conversations/found.ts';
import { SIMPLE } from '../support/conversations/simple.ts';
import { STATE } from '../support/conversations/state.ts';
import { TRANSACTIONS } from '../support/conversations/transactions.ts';
import { asPgweirMaySay, Differential } from '../support/differential.ts';
import type { Manner } from '../support/player.ts';
import { script } from '../support/script-arbitrary.ts';
import { printTranscript } from '../support/transcript.ts';

/**
 * The same bytes to PostgreSQL and through pgweir, the same replies, byte for byte but for process ids, keys and OIDs of
 * objects that were made on the way. `DIFFERENTIAL_CONFIG` is more of pgweir's configuration, such as
 * `routing: { transactions: optimistic }` or `pool: { mode: session }`.
 */
let sides: Differential;

/** For hunting: another configuration, another seed, more scripts. What is found belongs into `conversations/found.ts`. */
const { DIFFERENTIAL_CONFIG = '', DIFFERENTIAL_SEED = '20261120', DIFFERENTIAL_RUNS = '120' } = process.env;

beforeAll(async () => {
  sides = await Differential.start({ timeoutMs: 10_000, config: DIFFERENTIAL_CONFIG });
});

afterAll(() => sides?.[Symbol.asyncDispose]());

/** What was said in the conversations that were played: types of the client's messages, names of PostgreSQL's. */
const said = { byClient: new Set<number>(), byServer: new Set<string>() };

function noteMessages({ steps }: Conversation, heard: readonly string[]): void {
  for (const line of heard) said.byServer.add(/^S: (\w+)/.exec(line)?.[1]?.toLowerCase() ?? '');
  for (const step of steps) if (step.kind === 'send') said.byClient.add(step.bytes[0] ?? 0);
}

async function expectSame(told: Conversation): Promise<void> {
  const manners: Manner[] = [{ kind: 'whole' }, { kind: 'byte by byte' }, { kind: 'cut', seed: told.name.length }];
  const expected = await sides.direct(told, { kind: 'whole' });
  noteMessages(told, expected);
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
  ['fidelity', FIDELITY],
  ['found by chance', FOUND],
])('%s', (_group, conversations) => {
  test.each(conversations.map((told) => [told.name, told] as const))('%s', (_name, told) => expectSame(told));
});

test('every message is in some conversation, but for that of replication', () => {
  // When none of them is played, nothing is to be proven.
  if (said.byServer.size === 0) return;
  const unsaidByClient = Object.entries(FRONTEND).filter(([, type]) => !said.byClient.has(type));
  const unsaidByServer = Object.keys(BACKEND).filter((name) => !said.byServer.has(name.toLowerCase()));
  expect([unsaidByClient, unsaidByServer]).toEqual([[], ['copyBothResponse']]);
});

describe('where pgweir says something else, nothing is lost by it', () => {
  test.each(DEVIATIONS.map(({ told, why }) => [told.name, why, told] as const))('%s: %s', async (_name, _why, told) => {
    for (const kind of ['whole', 'byte by byte', 'without waiting'] as const) {
      const heard = await sides.through(told, { kind });
      expect(heard.at(-1)).toMatch(/^(S: ReadyForQuery "I"|-- closed)$/);
    }
  });
});

test(`scripts by chance, seed ${DIFFERENTIAL_SEED}`, { timeout: 120_000 + 1_000 * Number(DIFFERENTIAL_RUNS) }, async () => {
  const manners = fc.oneof(
    fc.constant<Manner>({ kind: 'without waiting' }),
    fc.nat().map((seed): Manner => ({ kind: 'cut', seed })),
  );
  const heldAgainst = async (told: Conversation, manner: Manner) => {
    const expected = await sides.direct(told, manner);
    const heard = await sides.through(told, manner);
    expect(heard, words(told)).toEqual(asPgweirMaySay(expected, heard));
  };
  await fc.assert(fc.asyncProperty(script, manners, heldAgainst), {
    seed: Number(DIFFERENTIAL_SEED),
    numRuns: Number(DIFFERENTIAL_RUNS),
  });
});

function words({ steps }: Conversation): string {
  const bytes = steps.flatMap((step) => (step.kind === 'send' ? [{ side: 'C' as const, bytes: step.bytes }] : []));
  return `\n${printTranscript(bytes)}\n`;
}
