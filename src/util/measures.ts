import { LabelCounter, PairCounter } from './counter.ts';
import { Histogram, type HistogramCounts } from './histogram.ts';

/**
 * What the floors count while they work: one object per process, made by `app.ts` and handed in. Writing to it costs
 * nanoseconds and never fails; whatever shows it (metrics, console) reads it when asked. What is true at an instant
 * (connections by state, lag, roles) is not here: it is read where it is held.
 */
export class Measures {
  /** Batches by (target, reason) of their route. */
  readonly routed = new PairCounter();
  /** Statements that were run again, by cause: an SQLSTATE, `connection lost`, `settings` that could not be restored... */
  readonly retries = new LabelCounter();
  /** Sessions that were bound to their connection, by reason; and bindings that ended. */
  readonly pins = new LabelCounter();
  readonly unpins = new LabelCounter();
  /** Errors that pgweir itself reported to clients, by `ErrorKind`. */
  readonly errors = new LabelCounter();
  /** Logins that pgweir refused, by reason. */
  readonly loginFailures = new LabelCounter();
  /** Cancel requests of clients by what became of them. */
  readonly cancels = new LabelCounter();
  /** Reads that waited for a replica to be fresh enough, by outcome. */
  readonly fenceWaits = new LabelCounter();

  /** Reads that were sent on shared connections; and connections that stopped being shared, by cause. */
  sharedReads = 0;
  /** Reads that were sent as prepared statements although their clients have not named any. */
  preparedReads = 0;
  readonly unshared = new LabelCounter();

  /** Backend connections, by the name of the backend: logged in; ended, whoever ended them; could not be opened or logged in. */
  readonly connectionsOpened = new LabelCounter();
  readonly connectionsClosed = new LabelCounter();
  readonly connectionsFailed = new LabelCounter();

  /** Seconds from a batch's arrival until the last byte of its reply was received, by where it ran. */
  readonly queryTimePrimary = new Histogram();
  readonly queryTimeReplica = new Histogram();
  /** Seconds that work waited for a backend connection. */
  readonly waitTime = new Histogram();
  /** Seconds from accepting a client's socket until it was logged in. */
  readonly loginTime = new Histogram();

  /** Client sockets accepted since the start; those of them that logged in. */
  clientsAccepted = 0;
  clientsLoggedIn = 0;
  /** Transactions that ended, autocommit statements included. */
  transactions = 0;
  clientReceivedBytes = 0;
  clientSentBytes = 0;
  backendReceivedBytes = 0;
  backendSentBytes = 0;

  /** Everything counted so far, as plain data. */
  tally(): Tally {
    const tally: Record<string, TallyEntry> = {};
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Histogram) tally[name] = value.counts();
      else if (value instanceof LabelCounter) tally[name] = { labels: [...value.entries()] };
      else if (value instanceof PairCounter) tally[name] = { pairs: [...value.entries()] };
      else if (typeof value === 'number') tally[name] = value;
    }
    return tally;
  }

  /** Counts what other measures have counted, those of another process for instance. */
  add(tally: Tally): void {
    for (const [name, value] of Object.entries(this)) {
      const other = tally[name];
      if (other === undefined) continue;
      if (typeof other === 'number') Object.assign(this, { [name]: value + other });
      else if (value instanceof Histogram && 'counts' in other) value.add(other);
      else if (value instanceof LabelCounter && 'labels' in other) addLabels(value, other.labels);
      else if (value instanceof PairCounter && 'pairs' in other) addPairs(value, other.pairs);
    }
  }
}

type TallyEntry = number | HistogramCounts | { readonly labels: Labels } | { readonly pairs: Pairs };
type Labels = readonly [label: string, count: number][];
type Pairs = readonly [first: string, second: string, count: number][];

/** What {@link Measures} have counted, by name. */
export type Tally = Readonly<Record<string, TallyEntry>>;

function addLabels(counter: LabelCounter, entries: Labels): void {
  for (const [label, count] of entries) counter.inc(label, count);
}

function addPairs(counter: PairCounter, entries: Pairs): void {
  for (const [first, second, count] of entries) counter.inc(first, second, count);
}
