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
export const gauge = declaring<number, 'gauge'>('gauge');

/** What only grows while the process lives. */
export const counter = declaring<number, 'counter'>('counter');

/** Durations in seconds. */
export const histogram = declaring<Histogram, 'histogram'>('histogram');

/** A function that makes rows of this type, and sees to it that as many values are emitted as there are labels. */
function declaring<Value, Type extends string>(type: Type) {
  return <const Labels extends readonly string[]>(name: string, labels: Labels, help: string, read: Read<Value, Labels>) => ({
    type,
    name,
    labels,
    help,
    read: (sources: AdminSources, emit: (value: Value, ...labels: string[]) => void) =>
      read(sources, (value, ...values) => emit(value, ...values)),
  });
}
