import { METRICS } from './metrics.ts';

/** The text of `metrics.md`: every metric, from the table that the registry is made of. */
export function metricsReference(): string {
  const rows = METRICS.map(({ name, type, labels, help }) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ]);
  return `# Metrics

Generated from \`src/admin/metrics.ts\` by \`npm run generate\`; do not edit.

At \`/metrics\`, in Prometheus's text format. Counters start at zero with the process. Label values come from closed sets or
from the configuration, never from a client, so the number of series is bounded. \`process_*\` and some \`nodejs_*\` metrics of
the process itself come with them. With \`workers\` above 1, all but the topology is added up over the workers, those that are gone
included where something is counted, and \`process_*\` is about the supervisor.

${table(['name', 'type', 'labels', 'what it says'], rows)}
`;
}

/** A table in Markdown with aligned columns, as the formatter wants it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0), title.length));
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
