import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Conversation } from '../support/conversation.ts';
import { asPgweirMaySay, Differential } from '../support/differential.ts';
import { SESSION_ROWS, SESSION_SCHEMA, sessions } from '../support/session-arbitrary.ts';
import { printTranscript } from '../support/transcript.ts';

/**
 * Five sessions, made up by chance of everything that a session may keep, take turns over two connections to each backend.
 * Each must hear, byte for byte, what it hears on a connection of its own: whatever leaked from one to another, or was
 * forgotten, would show.
 */
let sides: Differential;

beforeAll(async () => {
  sides = await Differential.start({
    timeoutMs: 10_000,
    schema: SESSION_SCHEMA,
    rows: SESSION_ROWS,
    config: 'pool: { max_per_backend: 2, wait_timeout: 30s }',
  });
});

afterAll(() => sides?.[Symbol.asyncDispose]());

/** For hunting: another seed, more scenes. What is found is cut down and becomes a test of its own. */
const { DIFFERENTIAL_SEED = '20261120', DIFFERENTIAL_RUNS = '20' } = process.env;
const numRuns = Number(DIFFERENTIAL_RUNS);

test(`sessions by chance that share connections, seed ${DIFFERENTIAL_SEED}`, { timeout: 120_000 + 5_000 * numRuns }, async () => {
  await fc.assert(
    fc.asyncProperty(sessions, fc.nat(), async (told, order) => {
      const expected = await sides.directEach(told);
      const heard = await sides.throughTogether(told, order);
      for (const [index, lines] of heard.entries()) {
        const wanted = inAnyOrder(expected[index] ?? []);
        const got = inAnyOrder(lines);
        expect(got, said(told[index])).toEqual(asPgweirMaySay(wanted, got));
      }
    }),
    { seed: Number(DIFFERENTIAL_SEED), numRuns },
  );
});

/** Several settings that change at once are reported in an order that depends on what the connection did before. */
function inAnyOrder(lines: readonly string[]): string[] {
  const sorted: string[] = [];
  let reports: string[] = [];
  for (const line of lines) {
    if (line.startsWith('S: ParameterStatus')) reports.push(line);
    else {
      sorted.push(...reports.sort(), line);
      reports = [];
    }
  }
  return [...sorted, ...reports.sort()];
}

function said(told: Conversation | undefined): string {
  const bytes = (told?.steps ?? []).flatMap((step) => (step.kind === 'send' ? [{ side: 'C' as const, bytes: step.bytes }] : []));
  return `\n${JSON.stringify(told?.startup)}\n${printTranscript(bytes)}\n`;
}
