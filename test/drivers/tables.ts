import type { Driver } from './drivers.ts';
import { IDIOMS, type Statement } from './idioms.ts';
import type { Verdict } from './judge.ts';

export interface Result {
  readonly driver: Driver;
  /** `null`: it is not installed. */
  readonly version: string | null;
  readonly verdict: Verdict | null;
}

const OFFLOADED: readonly Statement[] = [
  'autocommit read',
  'prepared read',
  'read in a transaction',
  'read in a read-only transaction',
];

/** Driver by idiom, for a terminal. */
export function idiomTable(results: readonly Result[]): string {
  const rows = results.map(({ driver, version, verdict }) => [
    `${driver.name} ${version ?? 'missing'}`,
    ...IDIOMS.map((idiom) => ({ ok: 'ok', failed: 'FAILED', none: '-' })[verdict?.idioms.get(idiom) ?? 'failed']),
  ]);
  return aligned([['', ...IDIOMS], ...rows]).join('\n');
}

/** Where reads went, in Markdown, as the README has it. */
export function placeTable(results: readonly Result[]): string {
  const rows = results.map(({ driver, version, verdict }) => [
    `${driver.name} ${version ?? ''}`.trim(),
    driver.unasked === 'BEGIN' ? 'in a transaction' : 'alone',
    ...OFFLOADED.map((statement) => verdict?.places.get(statement) ?? (verdict === null ? 'missing' : '–')),
    `\`${driver.readOnly}\``,
  ]);
  const header = [
    'driver',
    'a statement runs',
    'read alone',
    'prepared, alone',
    'in a transaction',
    'in a read-only one',
    'which is spelled',
  ];
  const lines = aligned([header, ...rows], ' | ').map((line) => `| ${line} |`);
  const rule = (lines[0] ?? '').replaceAll(/[^|]/g, '-').replaceAll(/\|-(-*)-(?=\|)/g, '| $1 ');
  return [lines[0], rule, ...lines.slice(1)].join('\n');
}

function aligned(rows: readonly (readonly string[])[], gap = '  '): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(gap));
}
