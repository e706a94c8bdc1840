import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { html } from '../../../src/admin/html.ts';
import { PAGE_POLICY, page } from '../../../src/admin/page.ts';
import { backend, pool, sources, view } from './fixtures.ts';

const READY = { uptimeSeconds: 90, problem: null };

test('a part of a template is escaped, another template is not', () => {
  expect(html`<p title="${`"'`}">${html`<b>${'<&>'}</b>`}${[html`<i>`, html`</i>`]}${7}</p>`.text).toBe(
    '<p title="&quot;&#39;"><b>&lt;&amp;&gt;</b><i></i>7</p>',
  );
});

test('shows each backend with role, state and lag', () => {
  const from = sources();
  from.view = view([
    backend(0),
    backend(1, { lagMs: 2500, lagBytes: 2048 }),
    backend(2, { problem: 'lag unknown', lagMs: null, lagBytes: null }),
    backend(3, { expiresAtMs: 4999 }),
  ]);
  from.poolStats = [pool('pg2', { connections: { connecting: 0, idle: 41, active: 42, quarantined: 0 }, waiters: 43 })];
  const rows = page(from, READY)
    .split('<tr>')
    .map((row) => row.split('</tr>', 1)[0] ?? '')
    .map((row) =>
      row
        .replace(/<[^>]*>/g, ' ')
        .replace(/\s+/g, ' ')
        .trim(),
    );
  expect(rows).toContain('pg1 127.0.0.1:5432 primary in use 0 s 0 B 0 0 0');
  expect(rows).toContain('pg2 127.0.0.1:5433 replica in use 2.5 s 2 KiB 42 41 43');
  expect(rows).toContain('pg4 127.0.0.1:5435 replica observation expired 12.5 ms 4 KiB 0 0 0');
  expect(rows).toContain('pg3 127.0.0.1:5434 replica lag unknown ? ? 0 0 0');
});

test('shows where work went, most first, with its share', () => {
  const from = sources();
  from.measures.routed.inc('primary', 'data modification');
  for (let i = 0; i < 3; i++) from.measures.routed.inc('replica', 'plain read');
  const text = page(from, READY);
  expect(text.indexOf('plain read')).toBeLessThan(text.indexOf('data modification'));
  expect(text).toContain('75.0 %');
});

test('says why it is not ready', () => {
  expect(page(sources(), { uptimeSeconds: 1, problem: 'no primary is known' })).toContain('not ready: no primary is known');
});

test('warns of two primaries', () => {
  const from = sources();
  expect(page(from, READY)).not.toContain('More than one');
  from.view = view([backend(0), backend(1)], { splitBrain: true });
  expect(page(from, READY)).toContain('More than one backend takes writes');
});

test('names from the configuration cannot become markup', () => {
  const from = sources();
  from.view = view([backend(0, { name: '<script>alert(1)</script>', host: '"><img>' })]);
  const text = page(from, READY);
  expect(text).not.toMatch(/<script|<img/);
  expect(text).toContain('&lt;script&gt;');
});

test('its policy allows exactly its own style', () => {
  const style = /<style>([\s\S]*?)<\/style>/.exec(page(sources(), READY))?.[1] ?? '';
  expect(style).not.toBe('');
  expect(PAGE_POLICY).toContain(`style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`);
  expect(page(sources(), READY)).not.toMatch(/ style=|<script|https?:/);
});
