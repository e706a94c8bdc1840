import type { LeaseWish } from '../backend/lease.ts';
import type { SettingsSet } from '../util/settings-set.ts';
import type { Work } from './work.ts';

/**
 * What the work, sent under these settings, would notice of others who had the connection before: the counts of their
 * activity, that a library is loaded, and that a temporary schema was made (current_schema() names it then, and PREPARE
 * TRANSACTION refuses to go on only where it is made).
 */
export function wishFor(work: Work, settings: SettingsSet, primary: boolean): LeaseWish {
  if (work.wantsNew) return 'new';
  const looksThere = primary && settings.entries.get('search_path')?.includes('pg_temp') === true;
  let wish: LeaseWish = looksThere ? 'no temporary schema' : 'any';
  for (const { residue, sessionState } of work.facts) {
    if (residue.has('library') || (primary && residue.has('activity counters'))) return 'new';
    if (primary && sessionState === 'temporary schema') wish = 'no temporary schema';
  }
  return wish;
}
