import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/routing/decide.ts';
import { explain, REASONS, toText } from '../../../src/routing/explain.ts';
import { routeTo } from '../../../src/routing/routes.ts';
import { context, facts, PRIMARY, replica, SESSION, viewOf } from './fixtures.ts';

const VIEW = viewOf(PRIMARY, replica(1));

describe('an explanation', () => {
  it('names the object that decided', () => {
    const batch = [facts(), facts({ effect: 'unknown', reason: 'volatile function', subject: 'next_number' })];
    const route = routeTo('primary', 'volatile function');
    expect(explain(route, batch)).toEqual({
      target: 'primary',
      reason: 'volatile function',
      subject: 'next_number',
      why: REASONS['volatile function'],
    });
    expect(toText(explain(route, batch))).toBe(
      'primary, because volatile function (next_number): it calls a function that is declared volatile, so it may write',
    );
  });

  it('names none where the statement did not decide', () => {
    const batch = [facts({ effect: 'unknown', reason: 'volatile function', subject: 'f' })];
    const route = decide(batch[0] ?? facts(), context({ transactionOn: 'primary' }), VIEW, SESSION);
    expect(toText(explain(route, batch))).toBe('primary, because in transaction: a transaction stays where it began');
  });

  it('reads as part of a sentence for each reason', () => {
    for (const why of Object.values(REASONS)) expect(why).toMatch(/^[a-z].*[^.]$/);
  });
});
