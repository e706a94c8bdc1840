import type { LogFields, LogLevel } from '../util/telemetry.ts';
import type { BackendView, View } from './view.ts';

/** Something that people want to read about, once. */
export interface Change {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: LogFields;
}

const TIMELINE_HINT =
  'it counts as a replica again when its control file shows the new timeline, which can take minutes; ' +
  'with GRANT pg_read_all_stats the user of the monitor sees it at once';

/** What is different for people between two views. Empty for almost every pair: fresh-through and lag always move. */
export function changesBetween(before: View, after: View): readonly Change[] {
  const changes: Change[] = [];
  if (before.primary !== after.primary || before.epoch !== after.epoch) changes.push(...primaryChanges(before, after));
  if (before.splitBrain !== after.splitBrain) changes.push(splitBrainChange(after));
  for (const backend of after.backends) {
    const previous = before.backends[backend.index];
    if (previous !== undefined && previous.problem !== backend.problem) changes.push(...problemChanges(previous, backend));
  }
  return changes;
}

function primaryChanges(before: View, after: View): Change[] {
  const from = nameOf(before, before.primary);
  if (after.primary === null) return from === null ? [] : [{ level: 'error', event: 'primary_lost', fields: { backend: from } }];
  const fields = {
    backend: nameOf(after, after.primary),
    previous: from,
    timeline: after.backends[after.primary]?.timeline,
    epoch: after.epoch,
  };
  return [{ level: 'info', event: 'primary_found', fields }];
}

function splitBrainChange(after: View): Change {
  const primary = nameOf(after, after.primary);
  const fenced = after.backends.filter(({ problem }) => problem === 'fenced').map(({ name }) => name);
  return after.splitBrain
    ? { level: 'error', event: 'split_brain', fields: { primary, fenced: fenced.join(', ') } }
    : { level: 'info', event: 'split_brain_over', fields: { primary } };
}

function problemChanges(before: BackendView, after: BackendView): Change[] {
  const fields = {
    backend: after.name,
    role: after.role,
    problem: after.problem,
    lag_ms: after.lagMs,
    lag_bytes: after.lagBytes,
  };
  // A break of the monitor's connection that mends at once, or a replica whose first comparison is still to come.
  const passing = (problem: string | null) => problem === 'lag unknown' || problem === 'not probed yet';
  if (after.problem === null) {
    return [{ level: passing(before.problem) ? 'debug' : 'info', event: 'backend_usable', fields }];
  }
  if (passing(after.problem)) return [{ level: 'debug', event: 'backend_unproven', fields }];
  const hint = after.problem === 'timeline not proven' ? { hint: TIMELINE_HINT } : {};
  return [{ level: 'warn', event: 'backend_unusable', fields: { ...fields, ...hint } }];
}

function nameOf(view: View, index: number | null): string | null {
  return index === null ? null : (view.backends[index]?.name ?? null);
}
