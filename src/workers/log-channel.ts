/** Lines that wait while those before them are on their way; what comes on top is dropped and counted. */
const MAX_WAITING_CHARACTERS = 16 * 1024 * 1024;

/**
 * The log of a worker, on its way to the supervisor, which alone writes to the output: so lines of several processes are
 * never mixed up in the middle. Lines that are written while some are on their way travel together.
 */
export class LogChannel {
  readonly #send: (lines: string, sent: () => void) => void;
  #waiting = '';
  #dropped = 0;
  #underWay = false;
  #idle: (() => void) | null = null;

  /** @param send calls back when the lines have left, or never will. */
  constructor(send: (lines: string, sent: () => void) => void) {
    this.#send = send;
  }

  write(line: string): void {
    if (this.#waiting.length + line.length > MAX_WAITING_CHARACTERS) this.#dropped++;
    else this.#waiting += line;
    if (!this.#underWay) this.#next();
  }

  /** Resolves when everything has left. */
  async end(): Promise<void> {
    if (!this.#underWay) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  #next(): void {
    if (this.#dropped > 0 && this.#waiting === '') {
      this.#waiting = `${JSON.stringify({ level: 'warn', event: 'log_lines_dropped', count: this.#dropped })}\n`;
      this.#dropped = 0;
    }
    const lines = this.#waiting;
    this.#waiting = '';
    this.#underWay = lines !== '';
    if (this.#underWay) this.#send(lines, () => this.#next());
    else this.#idle?.();
  }
}
