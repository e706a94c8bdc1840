import { SYSTEM_RELATIONS } from './builtins.ts';
import { isAboutTheNode, showsCounts } from './functions.ts';
import { READ, type Verdict, verdict } from './verdict.ts';

/**
 * What reading a relation of pg_catalog means, reviewed by hand over the complete list of PostgreSQL 18. Tables are
 * replicated; views may be about the node that is asked.
 */

/** Besides those whose name says so (`pg_stat_*`, `pg_statio_*`; `pg_stats` and `pg_stats_ext` are replicated tables). */
const ABOUT_THE_NODE = `
  pg_aios pg_available_extension_versions pg_available_extensions pg_backend_memory_contexts pg_config pg_file_settings
  pg_hba_file_rules pg_ident_file_mappings pg_locks pg_prepared_xacts pg_replication_origin_status pg_replication_slots
  pg_settings pg_shmem_allocations pg_shmem_allocations_numa
`;

const ABOUT_THE_CONNECTION = 'pg_cursors pg_prepared_statements';

/** A sequence's WAL runs ahead of its values, so a standby shows a later `last_value` than the primary. */
export const SEQUENCE: Verdict = verdict('write', 'sequence');

const DIFFERS: Verdict = verdict('write', 'differs on a standby');
const COUNTS: Verdict = verdict('write', 'differs on a standby', { residue: 'activity counters' });

const RELATIONS: ReadonlyMap<string, Verdict> = new Map([
  ...names(SYSTEM_RELATIONS).map((name) => [name, isAboutTheNode(name) ? (showsCounts(name) ? COUNTS : DIFFERS) : READ] as const),
  ...names(ABOUT_THE_NODE).map((name) => [name, DIFFERS] as const),
  ...names(ABOUT_THE_CONNECTION).map(
    (name) => [name, verdict('write', 'differs on a standby', { sessionState: 'connection' })] as const,
  ),
  ['pg_sequences', SEQUENCE] as const,
]);

function names(list: string): readonly string[] {
  return list.split(/\s+/).filter((name) => name !== '');
}

/** What a relation of pg_catalog means, or null if there is none of this name in PostgreSQL 18. */
export function systemRelation(name: string): Verdict | null {
  return RELATIONS.get(name) ?? null;
}
