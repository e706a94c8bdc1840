import { expect, test } from 'vitest';
import type { Question } from '../../../src/workers/messages.ts';
import { Questions } from '../../../src/workers/questions.ts';
import { ManualClock } from '../topology/manual-clock.ts';

function stage() {
  const clock = new ManualClock();
  const sent: Question[] = [];
  return { clock, sent, questions: new Questions((question) => sent.push(question), clock) };
}

test('each question has its own answer, in whatever order they come', async () => {
  const { clock, sent, questions } = stage();
  const first = questions.ask({ kind: 'report' }, 1000);
  const second = questions.ask({ kind: 'report' }, 1000);
  questions.answered({ kind: 'answer', id: sent[1]?.id ?? 0, outcome: { kind: 'failed', message: 'second' } });
  questions.answered({ kind: 'answer', id: sent[0]?.id ?? 0, outcome: { kind: 'done' } });
  expect([await first, await second]).toEqual([{ kind: 'done' }, { kind: 'failed', message: 'second' }]);
  expect(clock.timers).toBe(0);
});

test('without an answer in time it has failed, and an answer that comes later is for nobody', async () => {
  const { clock, sent, questions } = stage();
  const outcome = questions.ask({ kind: 'report' }, 1000);
  clock.advance(1000);
  expect(await outcome).toEqual({ kind: 'failed', message: 'no answer in time' });
  questions.answered({ kind: 'answer', id: sent[0]?.id ?? 0, outcome: { kind: 'done' } });
});

test('when the other end is gone, nobody waits for it', async () => {
  const { clock, questions } = stage();
  const outcome = questions.ask({ kind: 'report' }, 1000);
  questions.close();
  expect(await outcome).toEqual({ kind: 'gone' });
  expect(clock.timers).toBe(0);
});
