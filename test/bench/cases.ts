export type Protocol = 'simple' | 'extended' | 'prepared';

/** One row's worth of work for pgbench. */
export interface BenchCase {
  readonly name: string;
  readonly workload: 'read-only' | 'read-write' | 'connect';
  readonly protocol: Protocol;
  readonly clients: number;
  /** What pgbench counts as one transaction is so many queries: its tpcb-like script has five between BEGIN and END. */
  readonly queriesPerTransaction: number;
}

const CLIENTS = [1, 16, 64];
const PROTOCOLS: readonly Protocol[] = ['simple', 'extended', 'prepared'];
const CONNECT_CLIENTS = 16;

/** Everything that is measured with pgbench, in the order of the table. */
export const CASES: readonly BenchCase[] = [
  ...PROTOCOLS.flatMap((protocol) => CLIENTS.map((clients) => benchCase('read-only', protocol, clients, 1))),
  ...PROTOCOLS.flatMap((protocol) => CLIENTS.map((clients) => benchCase('read-write', protocol, clients, 7))),
  benchCase('connect', 'simple', CONNECT_CLIENTS, 1),
];

function benchCase(
  workload: BenchCase['workload'],
  protocol: Protocol,
  clients: number,
  queriesPerTransaction: number,
): BenchCase {
  return { name: `${workload} ${protocol} ${clients}`, workload, protocol, clients, queriesPerTransaction };
}

/** Whether `name` holds all the words of one of `patterns`; without patterns everything is chosen. */
export function isChosen(name: string, patterns: readonly string[]): boolean {
  const words = name.split(' ');
  return (
    patterns.length === 0 ||
    patterns.some((pattern) =>
      pattern
        .trim()
        .split(/\s+/)
        .every((word) => words.includes(word)),
    )
  );
}
