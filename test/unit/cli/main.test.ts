import { describe, expect, it } from 'vitest';
import { describeFailure } from '../../../src/cli/main.ts';
import { BugError } from '../../../src/util/assert.ts';
import { OperationalError } from '../../../src/util/errors.ts';

describe('a failure', () => {
  it('is one line and its causes', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', password: 'canary' });
    expect(describeFailure(new OperationalError('no_primary', 'there is no primary', { cause }))).toEqual([
      'pgweir: there is no primary',
      '  because: connect ECONNREFUSED',
    ]);
  });

  it('that is a defect says where it happened', () => {
    const [first, second] = describeFailure(new BugError('a lease was returned twice'));
    expect(first).toBe('pgweir: internal error: a lease was returned twice');
    expect(second).toMatch(/^ {2}at .*main\.test\.ts/);
  });

  it('that is no error at all does not show what was thrown', () => {
    expect(describeFailure('canary')).toEqual(['pgweir: not an error was thrown']);
  });
});
