import { z } from 'zod';
import { fileForms } from './kinds.ts';

/** The kinds of a group's settings, under the names that the code uses. */
type Kinds = Readonly<Record<string, z.ZodType>>;

interface GroupAbout {
  readonly description: string;
  /** As for a single setting, for all of the group. */
  readonly restart?: true;
  /** A text may stand for the whole group: it is the value of this setting, as `pg-1:5432` for a backend. */
  readonly shorthand?: string;
}

/** Says what is wrong between settings of one group or list: path in names of the file, and message. */
export type Check<T> = (value: T) => Iterable<{ readonly path: readonly (string | number)[]; readonly message: string }>;

/**
 * A mapping with exactly these settings. In the file each has the snake_case form of its name, durations without the
 * `Ms` (they carry their unit); a secret has two forms there, of which at most one may be given.
 */
export function group<K extends Kinds>(
  kinds: K,
  about: GroupAbout,
  check?: Check<{ readonly [N in keyof K]: z.output<K[N]> }>,
): z.ZodType<{ readonly [N in keyof K]: z.output<K[N]> }> {
  const { description, restart, shorthand } = about;
  const meta = {
    description,
    ...(restart && { 'x-restart': true }),
    ...(shorthand !== undefined && { 'x-shorthand': shorthand }),
  };
  const schema = z
    .strictObject(fileShape(kinds))
    .transform((given, context) => {
      // The strict object before it has checked every member: this is where a file becomes a typed value.
      const value = fromFile(kinds, given, context) as { readonly [N in keyof K]: z.output<K[N]> };
      if (check !== undefined) addAll(check(value), context);
      return value;
    })
    .meta(meta);
  const expand = (given: unknown): unknown => {
    if (shorthand !== undefined && typeof given === 'string') return { [shorthand]: given };
    return given === null ? {} : given;
  };
  return z.preprocess(expand, schema);
}

/** A list of at least `min` things of one kind, left out: `fallback`. */
export function list<T>(
  kind: z.ZodType<T>,
  about: { description: string; min: 0 | 1; restart?: true; fallback?: readonly unknown[] },
  check?: Check<readonly T[]>,
): z.ZodType<readonly T[]> {
  const { description, min, restart, fallback } = about;
  const schema = z
    .array(kind)
    .min(min)
    .transform((value, context): readonly T[] => {
      if (check !== undefined) addAll(check(value), context);
      return value;
    })
    .meta({ description, ...(restart && { 'x-restart': true }) });
  const orEmpty = z.preprocess((given) => given ?? fallback, schema);
  return fallback === undefined ? orEmpty : orEmpty.prefault(fallback);
}

/** The name of a setting in the file. */
export function fileKey(name: string): string {
  return name.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** What the file may contain: a secret in both of its forms. */
function fileShape(kinds: Kinds): Record<string, z.ZodType> {
  const shape: Record<string, z.ZodType> = {};
  for (const [name, kind] of Object.entries(kinds)) {
    const fileForm = fileForms.get(kind);
    shape[fileKey(name)] = fileForm === undefined ? kind : kind.optional();
    if (fileForm !== undefined) shape[`${fileKey(name)}_file`] = fileForm.optional();
  }
  return shape;
}

function fromFile(kinds: Kinds, given: Readonly<Record<string, unknown>>, context: IssueSink): unknown {
  const entries = Object.entries(kinds).map(([name, kind]) => {
    const key = fileKey(name);
    if (!fileForms.has(kind)) return [name, given[key]];
    const inFile = given[`${key}_file`];
    if (inFile !== undefined && given[key] !== undefined) {
      const message = `cannot be given together with ${key}: remove one of them`;
      context.addIssue({ code: 'custom', message, path: [`${key}_file`] });
    }
    return [name, given[key] ?? inFile ?? null];
  });
  return Object.fromEntries(entries);
}

type IssueSink = { addIssue(issue: { code: 'custom'; message: string; path: (string | number)[] }): void };

function addAll(problems: ReturnType<Check<never>>, context: IssueSink): void {
  for (const { path, message } of problems) context.addIssue({ code: 'custom', message, path: [...path] });
}
