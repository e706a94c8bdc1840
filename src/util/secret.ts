const REDACTED = '[redacted]';

/**
 * A text that no log line, error, `JSON.stringify` or `util.inspect` can show: a private field is invisible to all of
 * them, and the three ways to become text are answered with a mark. Only {@link Secret.reveal} gives it away, so
 * searching for that word finds every place where a secret leaves its wrapper.
 */
export class Secret {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  static from(text: string): Secret {
    return new Secret(text);
  }

  /** The text itself. Hold it no longer than the computation that needs it. */
  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }
}
