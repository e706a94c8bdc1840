const DURATION = /^(\d{1,15}(?:\.\d{1,6})?) ?(ms|s|m|h|d)$/;
const MS_PER: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const SIZE = /^(\d{1,15}(?:\.\d{1,6})?) ?(b|kb|kib|mb|mib|gb|gib)$/i;
const BYTES_PER: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  kib: 1024,
  mb: 1000 ** 2,
  mib: 1024 ** 2,
  gb: 1000 ** 3,
  gib: 1024 ** 3,
};

/** Milliseconds of `100ms`, `1.5s`, `5m`, `1h`, `2d`; null for anything else, a number without a unit included. */
export function parseDuration(text: string): number | null {
  return parseWithUnit(text, DURATION, MS_PER);
}

/** Bytes of `512B`, `64KiB`, `1MB` (a million), `1GiB`; null for anything else, a number without a unit included. */
export function parseSize(text: string): number | null {
  const bytes = parseWithUnit(text, SIZE, BYTES_PER);
  return bytes !== null && Number.isInteger(bytes) ? bytes : null;
}

/** The shortest whole-number text that {@link parseDuration} reads back. */
export function formatDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's']) {
    const factor = MS_PER[unit] ?? 1;
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}

/** The shortest whole-number text that {@link parseSize} reads back. */
export function formatSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    const factor = BYTES_PER[unit.toLowerCase()] ?? 1;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}

function parseWithUnit(text: string, pattern: RegExp, factors: Readonly<Record<string, number>>): number | null {
  const match = pattern.exec(text.trim());
  if (match === null) return null;
  const [, amount = '', unit = ''] = match;
  const value = Number(amount) * (factors[unit.toLowerCase()] ?? Number.NaN);
  return Number.isSafeInteger(Math.ceil(value)) ? value : null;
}
