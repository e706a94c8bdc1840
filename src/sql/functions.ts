import { NON_VOLATILE_FUNCTIONS, VOLATILE_FUNCTIONS } from './builtins.ts';
import type { EffectReason } from './facts.ts';
import { READ, type Verdict, verdict } from './verdict.ts';

/**
 * What calling a function of pg_catalog means, reviewed by hand over the complete list of PostgreSQL 18. The rule:
 * immutable and stable functions read, volatile ones need the primary, functions that are not in the list are unknown.
 * The exceptions are below; a name says it for all its overloads.
 */

/** Volatile, but they write nothing and a standby answers as well as the primary. They bar sharing a connection. */
const HARMLESS = `
  array_sample array_shuffle bernoulli clock_timestamp current_query gen_random_uuid lo_get pg_get_wait_events
  pg_partition_ancestors pg_partition_tree pg_sleep pg_sleep_for pg_sleep_until random random_normal system timeofday uuidv4 uuidv7
`;

/** A standby answers, but about itself: its locks, processes, statistics, files, snapshots and WAL. */
const ABOUT_THE_NODE = `
  pg_available_extension_versions pg_available_extensions pg_available_wal_summaries pg_backup_start pg_backup_stop
  pg_blocking_pids pg_cancel_backend pg_collation_actual_version pg_conf_load_time pg_config pg_control_checkpoint
  pg_control_init pg_control_recovery pg_control_system pg_current_logfile pg_current_snapshot pg_current_wal_flush_lsn
  pg_current_wal_insert_lsn pg_current_wal_lsn pg_current_xact_id_if_assigned pg_database_collation_actual_version
  pg_database_size pg_export_snapshot pg_extension_update_paths pg_get_aios pg_get_backend_memory_contexts
  pg_get_loaded_modules pg_get_multixact_members pg_get_replication_slots pg_get_shmem_allocations
  pg_get_shmem_allocations_numa pg_get_wal_replay_pause_state pg_get_wal_resource_managers pg_get_wal_summarizer_state
  pg_hba_file_rules pg_ident_file_mappings pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused
  pg_isolation_test_session_is_blocked pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn
  pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status pg_log_backend_memory_contexts
  pg_log_standby_snapshot pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir
  pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir pg_notification_queue_usage pg_numa_available
  pg_postmaster_start_time pg_prepared_xact pg_promote pg_read_binary_file pg_read_file pg_relation_size pg_reload_conf
  pg_replication_origin_oid pg_rotate_logfile pg_safe_snapshot_blocking_pids pg_show_all_file_settings pg_show_all_settings
  pg_show_replication_origin_status pg_stat_file pg_sync_replication_slots pg_table_size pg_tablespace_location
  pg_tablespace_size pg_terminate_backend pg_total_relation_size pg_wal_replay_pause pg_wal_replay_resume
  pg_wal_summary_contents pg_walfile_name pg_walfile_name_offset pg_xact_status txid_current_if_assigned txid_current_snapshot txid_status
`;

/** They answer about the connection they run on. */
const ABOUT_THE_CONNECTION = `
  pg_backend_pid pg_cursor pg_listening_channels pg_prepared_statement
  pg_replication_origin_session_is_setup pg_replication_origin_session_progress
`;

const ABOUT_TEMPORARY_SCHEMA = 'pg_is_other_temp_schema pg_my_temp_schema';

/** Declared stable, yet a standby refuses them: they assign a transaction id. */
const ASSIGNS_TRANSACTION_ID = 'pg_current_xact_id txid_current';

/** They execute SQL given as text, or read whatever relation they are told to. */
const RUNS_SQL = `
  cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema query_to_xml
  query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema table_to_xml
  table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat
`;

/** They leave state in the server process that no query shows and no DISCARD takes away. */
const LEAVES_PROCESS_STATE = `
  pg_backup_start pg_copy_logical_replication_slot pg_copy_physical_replication_slot pg_create_logical_replication_slot
  pg_create_physical_replication_slot pg_replication_origin_session_setup pg_replication_origin_xact_setup
  pg_stop_making_pinned_objects setseed
`;

const SEQUENCE_READERS = 'pg_get_sequence_data pg_sequence_last_value';

/** Names whose every bearer is about the node, also those of extensions and of versions to come. */
const NODE_PREFIXES = ['pg_stat_', 'pg_statio_'];

/** What they show of now, beside all the others of that prefix, which show what processes have counted so far. */
const SHOWS_NOW =
  /^pg_stat_(activity|replication|wal_receiver|recovery_prefetch|subscription|ssl|gssapi|progress_.*|file|get_activity|get_backend_.*|get_progress_info|get_wal_senders|get_wal_receiver|get_subscription)$/;

const differs = verdict('write', 'differs on a standby', { callsVolatile: true });
const counts = verdict('write', 'differs on a standby', { callsVolatile: true, residue: 'activity counters' });

const BUILTINS: ReadonlyMap<string, Verdict> = reviewed();

function reviewed(): ReadonlyMap<string, Verdict> {
  const all = new Map<string, Verdict>();
  const set = (list: string, what: Verdict): void => {
    for (const name of names(list)) all.set(name, what);
  };
  const primary = (reason: EffectReason, more: Partial<Verdict> = {}): Verdict =>
    verdict('write', reason, { callsVolatile: true, ...more });
  set(NON_VOLATILE_FUNCTIONS, READ);
  set(VOLATILE_FUNCTIONS, primary('volatile function'));
  for (const name of [...all.keys()]) {
    if (name.startsWith('lo_') || name === 'loread' || name === 'lowrite') all.set(name, primary('large object'));
    else if (name.includes('_advisory_')) all.set(name, advisory(name));
    else if (name.startsWith('binary_upgrade_')) all.set(name, primary('volatile function', { residue: 'process state' }));
    else if (isAboutTheNode(name)) all.set(name, showsCounts(name) ? counts : differs);
  }
  set(HARMLESS, verdict('read', 'plain read', { callsVolatile: true }));
  set(ABOUT_THE_NODE, differs);
  set(ABOUT_THE_CONNECTION, primary('differs on a standby', { sessionState: 'connection' }));
  set(ABOUT_TEMPORARY_SCHEMA, primary('differs on a standby', { sessionState: 'temporary schema' }));
  set(ASSIGNS_TRANSACTION_ID, primary('volatile function'));
  set(RUNS_SQL, verdict('unknown', 'not proven a read', { callsVolatile: true, residue: 'unknown' }));
  for (const name of names(LEAVES_PROCESS_STATE)) all.set(name, primary('volatile function', { residue: 'process state' }));
  set('nextval setval', primary('sequence', { residue: 'sequence value' }));
  set('currval lastval', primary('sequence', { sessionState: 'sequence value' }));
  set(SEQUENCE_READERS, primary('sequence'));
  set('pg_notify', primary('notification'));
  return all;
}

/** A session-level lock stays until it is released or the connection ends. */
function advisory(name: string): Verdict {
  const held = !name.includes('_xact_') && !name.includes('_unlock');
  return verdict('write', 'explicit lock', { callsVolatile: true, residue: held ? 'advisory lock' : null });
}

function names(list: string): readonly string[] {
  return list.split(/\s+/).filter((name) => name !== '');
}

/** What a function of pg_catalog means, or null if there is none of this name in PostgreSQL 18. */
export function builtinFunction(name: string): Verdict | null {
  return BUILTINS.get(name) ?? null;
}

/** Whether a system function or view about the node shows the counts of the cumulative statistics system (pgstat.c). */
export function showsCounts(name: string): boolean {
  return !SHOWS_NOW.test(name);
}

/** By its name alone: an extension's statistics are a node's own. */
export function isAboutTheNode(name: string): boolean {
  return NODE_PREFIXES.some((prefix) => name.startsWith(prefix));
}
