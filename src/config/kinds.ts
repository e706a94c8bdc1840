import { z } from 'zod';
import { Secret } from '../util/secret.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../util/units.ts';
import { type Address, parseAddress } from './address.ts';
import { nearest } from './nearest.ts';

/**
 * The kinds of settings that `settings.ts` declares with. Each is a zod schema that reads what YAML gave and whose
 * metadata is its own JSON Schema, so that validation, schema and reference come from one declaration.
 *
 * No problem ever repeats a value: whatever stands in a wrong place may be a secret.
 */

/** How the declarations reach files; the loader hands in the real ones. */
export interface Files {
  /** The absolute form of a path written in the configuration. */
  resolve(path: string): string;
  /** The whole text. Throws when it cannot be read, with a `code` such as ENOENT. */
  read(absolutePath: string): string;
}

export interface About {
  readonly description: string;
  /** In the syntax of the file. A setting without one must be given, unless it is {@link optional}. */
  readonly default?: string | number | boolean;
  /** A change takes effect only after a restart, so a reload that contains one is refused. */
  readonly restart?: true;
}

/** What a reader returns instead of a value: what is wrong, and what to write instead. */
class Wrong {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

type Json = Readonly<Record<string, unknown>>;

/** A value with a `${NAME}` still in it, as an editor sees it. */
const ENV_REFERENCE = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}' };

/** 24 days: what timers can wait for (2^31 ms). */
const MAX_DURATION_MS = 24 * 86_400_000;

/** @param bounds `off`: the word `off` means 0, which switches the thing off. */
export function duration(about: About, bounds: { minMs?: number; maxMs?: number; off?: true } = {}): z.ZodType<number> {
  const { minMs = 0, maxMs = MAX_DURATION_MS, off } = bounds;
  const pattern = `^[0-9]+(\\.[0-9]+)? ?(ms|s|m|h|d)$${off ? '|^off$' : ''}`;
  const examples = `write for example 100ms, 5s, 10m or 1h${off ? ', or off' : ''}`;
  return leaf({ 'x-kind': 'duration', anyOf: [{ type: 'string', pattern }, ENV_REFERENCE] }, about, (raw) => {
    if (off && raw === 'off') return 0;
    if (typeof raw === 'number') return new Wrong(`needs a unit: ${examples}`);
    const ms = typeof raw === 'string' ? parseDuration(raw) : null;
    if (ms === null) return new Wrong(`is not a duration: ${examples}`);
    if (ms < minMs || ms > maxMs) return new Wrong(`must be between ${formatDuration(minMs)} and ${formatDuration(maxMs)}`);
    return ms;
  });
}

export function size(about: About, bounds: { minBytes: number; maxBytes: number }): z.ZodType<number> {
  const { minBytes, maxBytes } = bounds;
  const pattern = '^[0-9]+(\\.[0-9]+)? ?([KkMmGg][Ii]?)?[Bb]$';
  return leaf({ 'x-kind': 'size', anyOf: [{ type: 'string', pattern }, ENV_REFERENCE] }, about, (raw) => {
    if (typeof raw === 'number') return new Wrong('needs a unit: write for example 64KiB, 1MB or 1GiB');
    const bytes = typeof raw === 'string' ? parseSize(raw) : null;
    if (bytes === null) return new Wrong('is not a size: write for example 64KiB, 1MB or 1GiB');
    if (bytes < minBytes || bytes > maxBytes)
      return new Wrong(`must be between ${formatSize(minBytes)} and ${formatSize(maxBytes)}`);
    return bytes;
  });
}

export function integer(about: About, bounds: { min: number; max: number }): z.ZodType<number> {
  const { min, max } = bounds;
  const json = { 'x-kind': 'whole number', anyOf: [{ type: 'integer', minimum: min, maximum: max }, ENV_REFERENCE] };
  return leaf(json, about, (raw) => {
    const value = typeof raw === 'string' && /^-?\d{1,15}$/.test(raw) ? Number(raw) : raw;
    if (typeof value !== 'number' || !Number.isInteger(value)) return new Wrong('must be a whole number');
    return value < min || value > max ? new Wrong(`must be between ${min} and ${max}`) : value;
  });
}

export function oneOf<const T extends string>(choices: readonly T[], about: About): z.ZodType<T> {
  return leaf({ 'x-kind': 'choice', anyOf: [{ enum: choices }, ENV_REFERENCE] }, about, (raw) => {
    const choice = choices.find((candidate) => candidate === raw);
    if (choice !== undefined) return choice;
    const meant = typeof raw === 'string' ? nearest(raw, choices) : null;
    return new Wrong(`must be one of: ${choices.join(', ')}${meant === null ? '' : ` (did you mean ${meant}?)`}`);
  });
}

export function flag(about: About): z.ZodType<boolean> {
  return leaf({ 'x-kind': 'true or false', anyOf: [{ type: 'boolean' }, ENV_REFERENCE] }, about, (raw) => {
    if (raw === true || raw === 'true') return true;
    return raw === false || raw === 'false' ? false : new Wrong('must be true or false');
  });
}

/** @param check says what is wrong with the text, or null. */
export function text(about: About, check: (value: string) => string | null = () => null): z.ZodType<string> {
  return leaf({ 'x-kind': 'text', type: 'string', minLength: 1 }, about, (raw) => {
    const value = nonEmptyText(raw);
    if (value instanceof Wrong) return value;
    const problem = check(value);
    return problem === null ? value : new Wrong(problem);
  });
}

export function address(about: About, ports: { usual: number | null; min: 0 | 1 }): z.ZodType<Address> {
  return leaf({ 'x-kind': 'host:port', type: 'string', minLength: 1 }, about, (raw) => {
    const result = typeof raw === 'string' ? parseAddress(raw, ports) : 'must be host:port';
    return typeof result === 'string' ? new Wrong(result) : result;
  });
}

/** The absolute path of a file that could be read; relative paths start at the folder of the configuration. */
export function file(about: About, files: Files): z.ZodType<string> {
  return leaf({ 'x-kind': 'path', type: 'string', minLength: 1 }, about, (raw) => {
    const content = readFile(raw, files);
    return content instanceof Wrong ? content : content.path;
  });
}

/** For each {@link secret}, the kind of its other form in the file: `<name>_file` names the file that holds it. */
export const fileForms = new WeakMap<z.ZodType, z.ZodType>();

/**
 * Given as itself or by a file, or not at all. {@link group} makes one setting of the two forms.
 * @param check says what is wrong with the text, or null; it must not quote it.
 */
export function secret(
  about: About,
  files: Files,
  check: (value: string) => string | null = () => null,
): z.ZodType<Secret | null> {
  const wrap = (value: string | Wrong): Secret | Wrong => {
    if (value instanceof Wrong) return value;
    const problem = check(value);
    return problem === null ? Secret.from(value) : new Wrong(problem);
  };
  const json = { type: 'string', minLength: 1 };
  const fileAbout = { ...about, description: 'The file that holds it, instead; a newline at its end does not count.' };
  const fromFile = leaf({ 'x-kind': 'path', ...json }, fileAbout, (raw) => {
    const content = readFile(raw, files);
    return wrap(content instanceof Wrong ? content : nonEmptyText(content.text.replace(/\r?\n$/, '')));
  });
  const inline = leaf<Secret | null>({ 'x-kind': 'secret', ...json }, about, (raw) => wrap(nonEmptyText(raw)));
  fileForms.set(inline, fromFile);
  return inline;
}

/** Left out: null. */
export function optional<T>(kind: z.ZodType<T>): z.ZodType<T | null> {
  return kind.optional().transform((value): T | null => value ?? null);
}

/** Left out or `off`: null. Not for free text, in which `off` may be a name. */
export function optionalOrOff<T>(kind: z.ZodType<T>): z.ZodType<T | null> {
  return z.preprocess((raw) => (raw === 'off' ? undefined : raw), optional(kind)).meta({ 'x-off': true });
}

function leaf<T>(json: Json, about: About, read: (raw: unknown) => T | Wrong): z.ZodType<T> {
  const { description, default: fallback, restart } = about;
  const schema = z
    .unknown()
    .transform((raw, context): T => {
      const value = raw === undefined ? new Wrong('is required') : raw === null ? new Wrong('has no value') : read(raw);
      if (!(value instanceof Wrong)) return value;
      context.addIssue({ code: 'custom', message: value.message });
      return z.NEVER;
    })
    .meta({ description, ...json, ...(restart && { 'x-restart': true }) });
  return fallback === undefined ? schema : schema.prefault(fallback);
}

function nonEmptyText(raw: unknown): string | Wrong {
  if (typeof raw === 'string') return raw === '' ? new Wrong('must not be empty') : raw;
  return typeof raw === 'object' ? new Wrong('must be text') : new Wrong('must be text: put it in quotes');
}

function readFile(raw: unknown, files: Files): { path: string; text: string } | Wrong {
  const name = nonEmptyText(raw);
  if (name instanceof Wrong) return name;
  const path = files.resolve(name);
  try {
    return { path, text: files.read(path) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return new Wrong(`names a file that cannot be read (${code})`);
  }
}
