import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SettingsSet } from '../../../src/util/settings-set.ts';

const entries = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'role'), fc.constantFrom('', '1', 'x"y')), { maxLength: 6 });

test('sets of the same entries are the same object, in whatever order they were made', () => {
  fc.assert(
    fc.property(entries, (list) => {
      const made = SettingsSet.of(new Map(list));
      let stepwise = SettingsSet.empty;
      for (const [name, value] of [...new Map(list)].reverse()) stepwise = stepwise.with(name, value);
      expect(stepwise).toBe(made);
      expect(stepwise.equals(made)).toBe(true);
    }),
  );
});

test('sets that differ in a name or a value are not equal', () => {
  fc.assert(
    fc.property(entries, entries, (some, others) => {
      const [one, other] = [new Map(some), new Map(others)];
      const same = one.size === other.size && [...one].every(([name, value]) => other.get(name) === value);
      expect(SettingsSet.of(one).equals(SettingsSet.of(other))).toBe(same);
    }),
  );
});

test('changing a set makes another and leaves it as it was', () => {
  const before = SettingsSet.empty.with('a', '1');
  const after = before.with('a', '2').with('b', '3').without('a');
  expect([[...before.entries], [...after.entries]]).toEqual([[['a', '1']], [['b', '3']]]);
  expect(before.with('a', '1')).toBe(before);
  expect(before.without('b')).toBe(before);
  expect(after.without('b')).toBe(SettingsSet.empty);
});

test('a set that was made long ago is still equal to its like', () => {
  const old = SettingsSet.empty.with('old', '1');
  for (let index = 0; index < 5000; index++) SettingsSet.empty.with('new', String(index));
  const again = SettingsSet.empty.with('old', '1');
  expect(again).not.toBe(old);
  expect(again.equals(old)).toBe(true);
});

const settings = (entries: Record<string, string>) => SettingsSet.of(new Map(Object.entries(entries)));

test('of all settings those matter to plans that PostgreSQL analyses statements by', () => {
  const utc = settings({ timezone: 'UTC', application_name: 'a', 'app.tenant': '7', work_mem: '64MB' });
  const other = settings({ timezone: 'UTC', application_name: 'b', role: 'c' });
  expect(utc.forPlans).toBe(other.forPlans);
  expect(utc.forPlans).not.toBe(settings({ timezone: 'Asia/Tokyo' }).forPlans);
  expect(settings({ application_name: 'a' }).forPlans).toBe(SettingsSet.empty);
});

test('settings that tell who acts', () => {
  expect(settings({ timezone: 'UTC', application_name: 'a' }).isAnonymous).toBe(true);
  expect(settings({ 'app.tenant': '7' }).isAnonymous).toBe(false);
  expect(settings({ role: 'a' }).isAnonymous).toBe(false);
});
