import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { formatReference } from '../../../src/config/reference.ts';
import { configSchema, formatSchema, type Schema, schemasAlong, withoutShortForms } from '../../../src/config/schema.ts';
import { configOf, MINIMUM } from './validate-text.ts';

const folder = new URL('../../../config/', import.meta.url);
const committed = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

/** [path, schema] of every single setting. */
function* leaves(schema: Schema, path: readonly (string | number)[] = []): Generator<[(string | number)[], Schema]> {
  const { properties, items } = withoutShortForms(schema);
  if (properties === undefined && items === undefined) yield [[...path], schema];
  if (items !== undefined) yield* leaves(items, [...path, 0]);
  for (const [name, inner] of Object.entries(properties ?? {})) yield* leaves(inner, [...path, name]);
}

describe('what is generated from the settings', () => {
  it('is committed as it is (npm run generate writes it)', () => {
    expect(committed('schema.json')).toBe(formatSchema());
    expect(committed('README.md')).toBe(formatReference());
  });

  it('describes every setting, its kind, and what it means', () => {
    const all = [...leaves(configSchema())];
    expect(all.length).toBeGreaterThan(60);
    for (const [path, schema] of all) {
      expect(schema.description, path.join('.')).toMatch(/^[A-Z`].*[.]$/);
      expect(schema['x-kind'], path.join('.')).toBeTypeOf('string');
      expect(formatReference()).toContain(`| \`${path.at(-1)}\``);
      expect(schemasAlong(path)).toHaveLength(path.length + 1);
    }
  });

  it('names defaults that the file accepts and that mean the same as leaving them out', () => {
    const lines: string[] = [];
    for (const [name, schema] of Object.entries(configSchema().properties ?? {})) {
      const given = Object.entries(withoutShortForms(schema).properties ?? {}).flatMap(([setting, { default: value }]) =>
        value === undefined ? [] : [`${setting}: ${JSON.stringify(value)}`],
      );
      if (name !== 'monitor' && name !== 'tls' && given.length > 0) lines.push(`${name}: { ${given.join(', ')} }`);
    }
    expect(lines.length).toBeGreaterThan(5);
    expect(configOf(`${MINIMUM}${lines.join('\n')}\n`)).toEqual(configOf(MINIMUM));
  });
});

describe('the example', () => {
  it('is accepted without any variable set', () => {
    expect(loadConfig(new URL('pgweir.yaml', folder).pathname, {})).toMatchObject({ kind: 'valid' });
  });

  it('follows its variables', () => {
    const env = { PGWEIR_BACKEND_1: 'a:1', PGWEIR_MONITOR_PASSWORD: 'p', PGWEIR_HTTP: '0.0.0.0:2', PGWEIR_LOG_LEVEL: 'debug' };
    const validation = loadConfig(new URL('pgweir.yaml', folder).pathname, env);
    expect(validation).toMatchObject({
      config: { backends: [{ host: 'a', port: 1 }, {}, {}], http: { host: '0.0.0.0', port: 2 }, log: { level: 'debug' } },
    });
  });
});
