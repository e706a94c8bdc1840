import { configSchema, type Schema, withoutShortForms } from './schema.ts';

const HEAD = `# Settings

Generated from \`src/config/settings.ts\` by \`npm run generate\`; do not edit. \`pgweir.yaml\` beside this file is an example, and
\`schema.json\` tells editors what they need to help with it.

- The file is YAML 1.2. Unknown names are errors, and \`pgweir check\` lists all problems at once, with their lines.
- \`\${NAME}\` in a value is the environment variable NAME, \`\${NAME:-text}\` the same with a default for when it is unset or empty,
  and \`$\${NAME}\` the text \`\${NAME}\`.
- A secret can be kept in a file: \`password_file\` in place of \`password\`. Paths are relative to the folder of the configuration.
- Durations are written as \`100ms\`, \`5s\`, \`10m\`, \`1h\` or \`1d\`, sizes as \`512B\`, \`64KiB\` (1024 bytes), \`1MB\` (a million bytes).
- SIGHUP reads the file again. The new settings are taken as a whole or, with a reason in the log, not at all; clients stay
  connected. A change of a setting that is marked _restart_ needs a restart.

The smallest file that works:

\`\`\`yaml
backends:
  - pg-1:5432
  - pg-2:5432
  - pg-3:5432
monitor: { user: pgweir, password: \${PGWEIR_MONITOR_PASSWORD} }
\`\`\`
`;

/** The text of `config/README.md`: every setting with its kind, default and meaning. */
export function formatReference(): string {
  const { properties = {}, required = [] } = configSchema();
  const sections = Object.entries(properties).map(([name, schema]) => section(name, schema, required.includes(name)));
  return [HEAD, ...sections].join('\n');
}

type Row = readonly [setting: string, value: string, fallback: string, meaning: string];

/** One heading with its table, followed by those of the groups and lists within; a setting by itself has a table of its own. */
function section(path: string, given: Schema, required: boolean): string {
  const schema = withoutShortForms(given);
  if (schema.properties === undefined && schema.items === undefined) {
    return `## ${path}\n\n${table([row(path, schema, required)])}\n`;
  }
  const entry = schema.items === undefined ? schema : withoutShortForms(schema.items);
  const notes = [schema.description ?? ''];
  if (schema.items !== undefined) notes.push(`Each entry: ${lowerFirst(entry.description ?? '')}`);
  if (required) notes.push('**Required.**');
  if (schema.default !== undefined && schema.items !== undefined) notes.push(`Default: \`${JSON.stringify(schema.default)}\`.`);
  if (schema['x-restart']) notes.push('_Restart._');
  const rows: Row[] = [];
  const inner: string[] = [];
  for (const [name, setting] of Object.entries(entry.properties ?? {})) {
    const plain = withoutShortForms(setting);
    const isRequired = entry.required?.includes(name) ?? false;
    if (plain.properties === undefined && plain.items === undefined) rows.push(row(name, setting, isRequired));
    else inner.push(section(`${path}.${name}`, setting, isRequired));
  }
  const text = `## ${path}\n\n${notes.join(' ')}\n${rows.length === 0 ? '' : `\n${table(rows)}\n`}`;
  return [text, ...inner].join('\n');
}

function row(name: string, schema: Schema, required: boolean): Row {
  const choices = schema.anyOf?.find((choice) => choice.enum !== undefined)?.enum;
  const kind = choices?.map((choice) => `\`${choice}\``).join(', ') ?? schema['x-kind'] ?? '';
  const fallback = schema.default ?? (schema['x-off'] ? 'off' : null);
  const standard = fallback === null ? (required ? '_required_' : '') : `\`${fallback}\``;
  const description = `${schema.description ?? ''}${schema['x-restart'] ? ' _Restart._' : ''}`;
  return [`\`${name}\``, kind, standard, description];
}

/** With columns as wide as their widest cell, which is how the formatter of this project has tables. */
function table(rows: readonly Row[]): string {
  const all = [['setting', 'value', 'default', 'meaning'] as const, ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [head = '', ...body] = all.map(line);
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body].join('\n');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
