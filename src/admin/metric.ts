import type { Histogram } from '../util/histogram.ts';
import type { AdminSources } from './ports.ts';

/** One row of the table in `metrics.ts`. */
export type Metric = ScalarMetric | HistogramMetric;

interface Declared {
  /** Prometheus's conventions: base units, `_total` for counters (prometheus.io/docs/practices/naming). */
  readonly name: string;
  readonly help: string;
  /** Their values come from closed sets or from the configuration, never from a client. */
  readonly labels: readonly string[];
}

export interface ScalarMetric extends Declared {
  readonly type: 'counter' | 'gauge';
  readonly read: (sources: AdminSources, emit: (value: number, ...labels: string[]) => void) => void;
}

export interface HistogramMetric extends Declared {
  readonly type: 'histogram';
  readonly read: (sources: AdminSources, emit: (histogram: Histogram, ...labels: string[]) => void) => void;
}

/** One string for each label. */
type Values<Labels extends readonly string[]> = { readonly [Index in keyof Labels]: string };

type Read<Value, Labels extends readonly string[]> = (
  sources: AdminSources,
  emit: (value: Value, ...labels: Values<Labels>) => void,
) => void;

/** What may go up and down. */
export function gauge<const Labels extends readonly string[]>(
  name: string,
  labels: Labels,
  help: string,
  read: Read<number, Labels>,
): ScalarMetric {
  return {
    type: 'gauge',
    name,
    labels,
    help,
    read: (sources, emit) => read(sources, (value, ...values) => emit(value, ...values)),
  };
}

/** What only grows while the process lives. */
export function counter<const Labels extends readonly string[]>(
  name: string,
  labels: Labels,
  help: string,
  read: Read<number, Labels>,
): ScalarMetric {
  return {
    type: 'counter',
    name,
    labels,
    help,
    read: (sources, emit) => read(sources, (value, ...values) => emit(value, ...values)),
  };
}

/** Durations in seconds. */
export function histogram<const Labels extends readonly string[]>(
  name: string,
  labels: Labels,
  help: string,
  read: Read<Histogram, Labels>,
): HistogramMetric {
  return {
    type: 'histogram',
    name,
    labels,
    help,
    read: (sources, emit) => read(sources, (value, ...values) => emit(value, ...values)),
  };
}
