import { expect, test } from 'vitest';
import { SettingsSet } from '../../../src/util/settings-set.ts';

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
