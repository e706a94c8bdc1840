import { describe, expect, it } from 'vitest';
import { adoptIdentifier, electPrimary, type Writable } from '../../../src/topology/roles.ts';

const at = (index: number, timeline: number): Writable => ({ index, timeline });

describe('the primary', () => {
  it.each([
    ['nobody writable: none', [], null, 0, null, false],
    ['one writable', [at(1, 1)], null, 0, 1, false],
    ['the higher timeline wins', [at(0, 1), at(1, 2)], 0, 1, 1, true],
    ['the higher timeline wins in any order', [at(0, 3), at(1, 2)], 1, 2, 0, true],
    ['equal timelines: the present one stays', [at(0, 2), at(1, 2)], 1, 2, 1, true],
    ['equal timelines, none present: the first', [at(1, 2), at(2, 2)], null, 2, 1, true],
    ['equal timelines, the present one gone: the other', [at(2, 2)], 1, 2, 2, false],
    ['an old primary that came back stays fenced even alone', [at(0, 1)], null, 2, null, false],
    ['an old primary does not disturb the new one', [at(0, 1), at(1, 2), at(2, 1)], 1, 2, 1, true],
  ] as const)('%s', (_, writable, current, highest, primary, splitBrain) => {
    expect(electPrimary(writable, current, highest)).toEqual({ primary, splitBrain });
  });
});

describe('the system identifier of the cluster', () => {
  it.each([
    ['open before the first answer', [undefined, undefined, undefined], null],
    ['open while another could still win', ['a', undefined, undefined], null],
    ['decided by more than half', ['a', 'a', undefined], 'a'],
    ['decided when all were asked', ['a', null, null], 'a'],
    ['the majority of the answers', ['b', 'a', 'a', null, null], 'a'],
    ['the first in the configuration when as many say another', ['b', 'a'], 'b'],
    ['none when nobody answered', [null, null], null],
    ['decided at once when there is only one', ['a'], 'a'],
  ] as const)('%s', (_, nodes, expected) => {
    expect(adoptIdentifier(nodes)).toBe(expected);
  });
});
