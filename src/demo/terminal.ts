import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Where the terminal does not say how wide it is. */
const DEFAULT_COLUMNS = 120;

/** A terminal, or a file or pipe in its place: then without colours and without a line that changes. */
export class Terminal {
  readonly #stream: NodeJS.WriteStream;
  #statusShown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  get interactive(): boolean {
    return this.#stream.isTTY === true;
  }

  /** NO_COLOR and FORCE_COLOR are obeyed (by `styleText`). */
  paint(style: Style, text: string): string {
    return styleText(style, text, { stream: this.#stream });
  }

  line(text = ''): void {
    this.#clearStatus();
    this.#stream.write(`${text}\n`);
  }

  /** Columns as wide as their widest cell; the style of a column is put on after measuring. */
  table(rows: readonly (readonly string[])[], styles: readonly (Style | null)[] = []): void {
    const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
    for (const row of rows) {
      const cells = row.map((cell, column) => {
        const style = styles[column];
        const text = column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0);
        return style === null || style === undefined ? text : this.paint(style, text);
      });
      this.line(`  ${cells.join('  ')}`);
    }
  }

  /** One line that the next status replaces. Not for pipes: see {@link interactive}. */
  status(text: string): void {
    this.#clearStatus();
    this.#stream.write(text.slice(0, (this.#stream.columns || DEFAULT_COLUMNS) - 1));
    this.#statusShown = true;
  }

  #clearStatus(): void {
    if (this.#statusShown) this.#stream.write('\r\x1b[2K');
    this.#statusShown = false;
  }
}
