/** A column of a printed table. */
export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

export interface Table {
  readonly columns: readonly Column[];
  /** A row that is null is a rule. */
  readonly rows: readonly (readonly string[] | null)[];
}

/** Blocks of rows with rules between them; empty ones are left out. */
export function ruled(blocks: readonly (readonly string[][])[]): (string[] | null)[] {
  const rows: (string[] | null)[] = [];
  for (const block of blocks.filter(({ length }) => length > 0)) rows.push(...(rows.length === 0 ? [] : [null]), ...block);
  return rows;
}

/** Lines with aligned columns. */
export function formatTable({ columns, rows }: Table): string {
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row?.[index]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => pad(cells[index] ?? '', widths[index] ?? 0, align))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [line(columns.map(({ title }) => title)), rule, ...rows.map((row) => (row === null ? rule : line(row)))].join('\n');
}

/** The same as a table of Markdown, which has no rules; its columns are in line in the source too. */
export function formatMarkdown({ columns, rows }: Table): string {
  const titles = columns.map(({ title }) => title);
  const body = rows.filter((row) => row !== null);
  const widths = columns.map((_, index) => Math.max(...[titles, ...body].map((row) => row[index]?.length ?? 0), 3));
  const line = (row: readonly string[]) =>
    `| ${columns.map(({ align }, index) => pad(row[index] ?? '', widths[index] ?? 0, align)).join(' | ')} |`;
  const rule = columns.map(({ align }, index) =>
    align === 'right' ? `${'-'.repeat((widths[index] ?? 0) - 1)}:` : '-'.repeat(widths[index] ?? 0),
  );
  return [line(titles), line(rule), ...body.map(line)].join('\n');
}

function pad(cell: string, width: number, align: Column['align']): string {
  return align === 'left' ? cell.padEnd(width) : cell.padStart(width);
}
