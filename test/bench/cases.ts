export const PROTOCOLS = ['simple', 'extended', 'prepared'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/**
 * `read-only`, `read-write`: pgbench's own select-only and tpcb-like. `mixed`: nine of the first for one of the second.
 * `connect`: select-only with a connection for each. `orm`: three reads between BEGIN and COMMIT. `neighbours`: one read in a
 * hundred takes 50 ms; how long the others take is measured.
 */
export type Workload = 'read-only' | 'read-write' | 'mixed' | 'connect' | 'orm' | 'neighbours';

/** One row's worth of work for pgbench. */
export interface BenchCase {
  readonly name: string;
  readonly workload: Workload;
  readonly protocol: Protocol;
  readonly clients: number;
}

export const CLIENTS: readonly number[] = [1, 4, 16, 64, 256];
/** Of the workloads that are run with one number of clients only. */
const USUAL_CLIENTS = 16;

/** What pgbench counts as one transaction is so many queries: its tpcb-like script has five between BEGIN and END. */
export const QUERIES_PER_TRANSACTION: Readonly<Record<Workload, number>> = {
  'read-only': 1,
  'read-write': 7,
  mixed: 0.9 * 1 + 0.1 * 7,
  connect: 1,
  orm: 5,
  neighbours: 1,
};

export const WRITING: ReadonlySet<Workload> = new Set(['read-write', 'mixed']);

/** Everything that is measured with pgbench, in the order of the table. */
export function casesFor(clients: readonly number[], protocols: readonly Protocol[]): BenchCase[] {
  const grid = (['read-only', 'read-write', 'mixed'] as const).flatMap((workload) =>
    protocols.flatMap((protocol) => clients.map((count) => benchCase(workload, protocol, count))),
  );
  const others = [
    benchCase('connect', 'simple', USUAL_CLIENTS),
    benchCase('orm', 'simple', USUAL_CLIENTS),
    benchCase('orm', 'extended', USUAL_CLIENTS),
    ...[USUAL_CLIENTS, 64].map((count) => benchCase('neighbours', 'simple', count)),
  ];
  return [...grid, ...others.filter((other) => clients.includes(other.clients) && protocols.includes(other.protocol))];
}

/** One of each kind of work: what caches and compilers must have seen before anything is measured. */
export function warmUpOf(cases: readonly BenchCase[]): BenchCase[] {
  const kinds = cases.map(({ workload, protocol }) => benchCase(workload, protocol, USUAL_CLIENTS));
  return [...new Map(kinds.map((kind) => [kind.name, kind])).values()];
}

function benchCase(workload: Workload, protocol: Protocol, clients: number): BenchCase {
  return { name: `${workload} ${protocol} ${clients}`, workload, protocol, clients };
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
