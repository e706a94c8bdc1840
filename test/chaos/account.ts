/** What was done, and what went wrong. */
export class Account {
  readonly deeds = new Map<string, number>();
  readonly answers = new Map<string, number>();
  readonly violations: string[] = [];
  readonly #began = performance.now();

  done(deed: string): void {
    this.deeds.set(deed, (this.deeds.get(deed) ?? 0) + 1);
  }

  answered(kind: string): void {
    this.answers.set(kind, (this.answers.get(kind) ?? 0) + 1);
  }

  violation(what: string): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(2);
    this.violations.push(`after ${seconds} s: ${what}`);
  }
}
