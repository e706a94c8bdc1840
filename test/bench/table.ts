/** A column of a printed table. */
export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** Lines with aligned columns; a row that is null becomes a rule. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[] | null)[]): string {
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => row?.[index]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, index) => {
        const [cell, width] = [cells[index] ?? '', widths[index] ?? 0];
        return align === 'left' ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [line(columns.map(({ title }) => title)), rule, ...rows.map((row) => (row === null ? rule : line(row)))].join('\n');
}
