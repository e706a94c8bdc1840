import { describe, expect, it } from 'vitest';
import { parseAnswer } from '../../../src/topology/probe.ts';

const STATIC = ['off', '7710202448638602051', '180004', '8192', '16777216', '200.000000'] as const;

describe('the answer to a probe', () => {
  it('of a primary has a replayable position and the timeline of its WAL file', () => {
    expect(parseAnswer(['primary 0/215A018 0/2158000', null, '0000001F0000000000000002', ...STATIC], 7)).toEqual({
      kind: 'answer',
      sentAtMs: 7,
      inRecovery: false,
      readOnly: false,
      lsn: 0x215a000,
      flushed: { lsn: 0x2158000, usuallyWithinMs: 600 },
      timeline: 31,
      systemIdentifier: '7710202448638602051',
      serverVersion: 180004,
    });
  });

  it('of a standby has its replay position as it is and the timeline that it could prove', () => {
    const answer = parseAnswer(['standby 0/215A018', '3', null, 'on', ...STATIC.slice(1)], 7);
    expect(answer).toMatchObject({ inRecovery: true, readOnly: true, lsn: 0x215a018, timeline: 3 });
    expect(parseAnswer(['standby ', null, null, ...STATIC], 7)).toMatchObject({ lsn: null, flushed: null, timeline: null });
  });

  it.each([
    ['nothing', []],
    ['a primary without a position', ['primary ', null, '000000010000000000000002', ...STATIC]],
    ['a primary without a timeline', ['primary 0/1 0/1', null, null, ...STATIC]],
    ['a position that is none', ['standby zero', '1', null, ...STATIC]],
    ['neither', ['cascade 0/1 0/1', '1', '000000010000000000000002', ...STATIC]],
    ['no identifier', ['primary 0/1 0/1', null, '000000010000000000000002', 'off', null, '180004', '8192', '16777216', '200']],
    ['no page size', ['primary 0/1 0/1', null, '000000010000000000000002', 'off', '1', '180004', null, '16777216', '200']],
    ['a primary without a flush position', ['primary 0/1', null, '000000010000000000000002', ...STATIC]],
    ['a primary without a WAL writer', ['primary 0/1 0/1', null, '000000010000000000000002', ...STATIC.slice(0, -1), null]],
  ])('is refused when it is %s', (_, row) => {
    expect(() => parseAnswer(row, 0)).toThrow('not the answer of a PostgreSQL server');
  });
});
