import { z } from 'zod';
import type { Path } from './problem.ts';
import { declareSettings } from './settings.ts';

/** A JSON Schema, with what only pgweir knows under names that start with `x-`. */
export interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly minLength?: number;
  /** How the reference calls this kind of value. */
  readonly 'x-kind'?: string;
  /** `off` means that there is none. */
  readonly 'x-off'?: true;
  /** A change needs a restart. */
  readonly 'x-restart'?: true;
  /** A text may stand for the whole mapping: the value of this setting. */
  readonly 'x-shorthand'?: string;
}

let cached: Schema | null = null;

/** The JSON Schema of the configuration file (draft 2020-12): for editors, and for all that asks about settings at run time. */
export function configSchema(): Schema {
  if (cached === null) {
    const settings = declareSettings({ resolve: (path) => path, read: () => '' });
    cached = addShortForms(z.toJSONSchema(settings, { io: 'input' }) as Schema);
  }
  return cached;
}

/** The text of `config/schema.json`, laid out as the formatter of this project has it. */
export function formatSchema(): string {
  return `${layOut(configSchema(), '')}\n`;
}

/** The schemas from the root to the setting at `path`, as far as the path is known; outermost first. */
export function schemasAlong(path: Path): Schema[] {
  const along = [withoutShortForms(configSchema())];
  for (const part of path) {
    const here = along.at(-1);
    const next = typeof part === 'number' ? here?.items : here?.properties?.[part];
    if (next === undefined) break;
    along.push(withoutShortForms(next));
  }
  return along;
}

/** A mapping by its own schema, beside the text or the `off` that may stand for it; anything else as it is. */
export function withoutShortForms(schema: Schema): Schema {
  const { anyOf, ...outer } = schema;
  const mapping = anyOf?.find((choice) => choice.properties !== undefined);
  return mapping === undefined ? schema : { ...withoutShortForms(mapping), ...outer };
}

/** Adds what preprocessing accepts beside the value itself, which zod cannot know. */
function addShortForms(schema: Schema): Schema {
  const { type, properties, required, additionalProperties, items, anyOf, ...outer } = schema;
  const mapping = properties !== undefined && {
    type: 'object',
    properties: Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, addShortForms(inner)])),
    ...(required !== undefined && { required }),
    additionalProperties: false,
  };
  const shortForms: Schema[] = [];
  if (schema['x-shorthand'] !== undefined) shortForms.push({ type: 'string', minLength: 1 });
  if (schema['x-off']) shortForms.push({ const: 'off' });
  if (mapping) return shortForms.length === 0 ? { ...outer, ...mapping } : { ...outer, anyOf: [...shortForms, mapping] };
  return {
    ...outer,
    ...(type !== undefined && { type }),
    ...(items !== undefined && { items: addShortForms(items) }),
    ...(anyOf !== undefined && { anyOf: [...anyOf, ...shortForms] }),
  };
}

/** JSON with one line per member, and lists of plain values in one line. */
function layOut(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.every((entry) => typeof entry !== 'object')) return `[${value.map((entry) => JSON.stringify(entry)).join(', ')}]`;
    return `[\n${value.map((entry) => deeper + layOut(entry, deeper)).join(',\n')}\n${indent}]`;
  }
  const members = Object.entries(value).map(([name, inner]) => `${deeper}${JSON.stringify(name)}: ${layOut(inner, deeper)}`);
  return members.length === 0 ? '{}' : `{\n${members.join(',\n')}\n${indent}}`;
}
