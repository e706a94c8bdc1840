import { Secret } from '../util/secret.ts';
import { formatDuration, formatSize } from '../util/units.ts';
import { fileKey } from './groups.ts';
import { formatPath, type Path } from './problem.ts';
import { schemasAlong } from './schema.ts';
import type { Config } from './settings.ts';

/** One setting that differs between two configurations. */
export interface Change {
  /** In the names of the file. */
  readonly path: string;
  /** As the file might have it, secrets redacted; null where a list has no such entry. */
  readonly from: string | null;
  readonly to: string | null;
  /** It takes effect only after a restart. */
  readonly restart: boolean;
}

/** What changed, in the order of the declarations; the entries of lists are compared by position. */
export function diffConfigs(from: Config, to: Config): Change[] {
  return [...differences(from, to, [])];
}

function* differences(from: unknown, to: unknown, path: Path): Generator<Change> {
  if (same(from, to)) return;
  if (Array.isArray(from) && Array.isArray(to)) {
    for (let index = 0; index < Math.max(from.length, to.length); index++) {
      yield* differences(from[index], to[index], [...path, index]);
    }
  } else if (isGroup(from) && isGroup(to)) {
    for (const name of Object.keys(from)) yield* differences(from[name], to[name], [...path, fileKey(name)]);
  } else {
    const schemas = schemasAlong(path);
    const restart = schemas.some((schema) => schema['x-restart'] === true);
    const kind = schemas.at(path.length)?.['x-kind'];
    yield { path: formatPath(path), from: show(from, kind), to: show(to, kind), restart };
  }
}

function show(value: unknown, kind: string | undefined): string | null {
  if (value === undefined) return null;
  if (typeof value === 'number' && kind === 'duration') return formatDuration(value);
  if (typeof value === 'number' && kind === 'size') return formatSize(value);
  if (value === null) return 'none';
  return typeof value === 'string' || value instanceof Secret ? value.toString() : JSON.stringify(value);
}

function same(from: unknown, to: unknown): boolean {
  return from instanceof Secret && to instanceof Secret ? from.reveal() === to.reveal() : from === to;
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Secret);
}
