/** What pgweir says about itself, read from its metrics page as any operator's tools would. */
export interface MetricsPage {
  /** Per backend name; null where the page is silent. */
  role(backend: string): string;
  lagSeconds(backend: string): number | null;
  /** How often batches went to `target` for `reason`, keyed `target: reason`. */
  readonly routed: ReadonlyMap<string, number>;
  readonly retries: number;
}

const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="([^"]*)"/g;

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** @throws Error when the page cannot be had. */
export async function readMetrics(url: string): Promise<MetricsPage> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  const samples = parseSamples(await response.text());
  const named = (name: string) => samples.filter((sample) => sample.name === name);
  return {
    role: (backend) =>
      named('pgweir_backend_role').find(({ labels, value }) => labels.backend === backend && value === 1)?.labels.role ??
      'unknown',
    lagSeconds: (backend) => named('pgweir_backend_lag_seconds').find(({ labels }) => labels.backend === backend)?.value ?? null,
    routed: new Map(named('pgweir_routed_total').map(({ labels, value }) => [`${labels.target}: ${labels.reason}`, value])),
    retries: named('pgweir_retries_total').reduce((sum, { value }) => sum + value, 0),
  };
}

function parseSamples(text: string): Sample[] {
  return text.split('\n').flatMap((line) => {
    const match = SAMPLE.exec(line);
    if (match === null) return [];
    const [, name = '', labels = '', value = ''] = match;
    return [
      { name, value: Number(value), labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])) },
    ];
  });
}
