import { createHash } from 'node:crypto';
import type { BackendView } from '../topology/view.ts';
import type { Histogram } from '../util/histogram.ts';
import { Html, html } from './html.ts';
import { humanBytes, humanCount, humanDuration } from './human.ts';
import { type AdminSources, CLIENT_STATES, type PoolStats } from './ports.ts';
import { isUp } from './readiness.ts';

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884 }
th { font-weight: 600; opacity: .7 } td.n, th.n { text-align: right }
.good { color: #1a8a3f } .bad { color: #d03a2b } .dim { opacity: .65 }
`;

/** What a browser may do with the page: apply this one style, nothing else. */
export const PAGE_POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

const MOST_ROUTES = 15;

export interface PageState {
  /** Seconds since the process started. */
  readonly uptimeSeconds: number;
  /** Why pgweir is not ready, or null. */
  readonly problem: string | null;
}

/** The page at `/`: what pgweir sees and does now. Loads itself again every two seconds. */
export function page(sources: AdminSources, { uptimeSeconds, problem }: PageState): string {
  const status = problem === null ? html`<span class="good">ready</span>` : html`<span class="bad">not ready: ${problem}</span>`;
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>pgweir</title><style>${new Html(STYLE)}</style></head>
<body>
<h1>pgweir ${sources.version}</h1>
<p>${status} <span class="dim">· up ${humanDuration(uptimeSeconds)} · <a href="/metrics">metrics</a> · <a href="/healthz">healthz</a> · <a href="/readyz">readyz</a></span></p>
${backendTable(sources)}
${routeTable(sources)}
${timeTable(sources)}
${clientLine(sources)}
</body>
</html>
`.text;
}

function backendTable(sources: AdminSources): Html {
  const view = sources.views.current();
  const pools = new Map(Array.from(sources.pools(), (pool) => [pool.backend, pool]));
  const splitBrain = view.splitBrain ? html`<p class="bad">More than one backend takes writes.</p>` : html``;
  return html`<h2>Backends</h2>${splitBrain}
<table><tr><th>name<th>address<th>role<th>state<th class="n">lag<th class="n">behind<th class="n">active<th class="n">idle<th class="n">waiting</tr>
${view.backends.map((backend) => backendRow(backend, pools.get(backend.name), sources.clock.now()))}
</table>`;
}

function backendRow(backend: BackendView, pool: PoolStats | undefined, nowMs: number): Html {
  const problem = backend.problem ?? (isUp(backend, nowMs) ? null : 'observation expired');
  const state = problem === null ? html`<td class="good">in use` : html`<td class="bad">${problem}`;
  return html`<tr><td>${backend.name}<td>${backend.host}:${backend.port}<td>${backend.role}${state}
<td class="n">${backend.lagMs === null ? '?' : humanDuration(backend.lagMs / 1000)}<td class="n">${backend.lagBytes === null ? '?' : humanBytes(backend.lagBytes)}
<td class="n">${pool?.connections.active ?? 0}<td class="n">${pool?.connections.idle ?? 0}<td class="n">${pool?.waiters ?? 0}</tr>`;
}

function routeTable({ measures }: AdminSources): Html {
  const routes = [...measures.routed.entries()].toSorted(([, , a], [, , b]) => b - a);
  const total = routes.reduce((sum, [, , count]) => sum + count, 0);
  const rows = routes
    .slice(0, MOST_ROUTES)
    .map(
      ([target, reason, count]) =>
        html`<tr><td>${target}<td>${reason}<td class="n">${humanCount(count)}<td class="n">${((100 * count) / total).toFixed(1)} %</tr>`,
    );
  return html`<h2>Where work went, and why <span class="dim">since the start</span></h2>
<table><tr><th>target<th>reason<th class="n">batches<th class="n">share</tr>
${rows}
</table>`;
}

function timeTable({ measures }: AdminSources): Html {
  return html`<h2>Times <span class="dim">since the start</span></h2>
<table><tr><th>of<th class="n">count<th class="n">p50<th class="n">p99</tr>
${timeRow('queries on replicas', measures.queryTimeReplica)}
${timeRow('queries on the primary', measures.queryTimePrimary)}
${timeRow('waits for a connection', measures.waitTime)}
</table>`;
}

function timeRow(what: string, histogram: Histogram): Html {
  const [median, high] = [histogram.quantile(0.5), histogram.quantile(0.99)];
  return html`<tr><td>${what}<td class="n">${humanCount(histogram.count)}<td class="n">${median === null ? '' : humanDuration(median)}<td class="n">${high === null ? '' : humanDuration(high)}</tr>`;
}

function clientLine(sources: AdminSources): Html {
  const { states, pinned, limit } = sources.clients();
  const parts = CLIENT_STATES.map((state) => `${humanCount(states[state])} ${state}`);
  return html`<h2>Clients</h2><p>${parts.join(', ')}; ${humanCount(pinned)} pinned; at most ${humanCount(limit)}</p>`;
}
