import { setTimeout as sleep } from 'node:timers/promises';
import { Account } from './account.ts';
import { Chance } from './chance.ts';
import { accountOf, list } from './metrics.ts';
import type { ChaosOptions } from './options.ts';
import { ChaosSession } from './session.ts';
import { Site } from './site.ts';

/** More violations than this are only counted, and end the run. */
const SHOWN = 10;

/** Runs the sessions while replicas come and go. Returns whether everything was as it must be. */
export async function check({ seconds, sessions, seed, shared }: ChaosOptions): Promise<boolean> {
  print(`${sessions} sessions for ${seconds} s, shared reads ${shared ? 'on' : 'off'}, seed ${seed}`);
  await using site = await Site.open(shared);
  const account = new Account();
  await new ChaosSession(sessions, site.pgweir.port, new Chance(seed), account).prove();
  const end = performance.now() + seconds * 1000;
  const isOver = () => performance.now() > end || account.violations.length > SHOWN;
  const kills = killReplicas(site, new Chance(seed), isOver);
  const all = Array.from({ length: sessions }, (_, number) => {
    return new ChaosSession(number, site.pgweir.port, new Chance(seed + 1 + number), account).run(isOver);
  });
  await Promise.all(all);
  const killed = await kills;
  for (const left of await site.leftovers()) account.violation(`in the end: ${left}`);
  for (const line of site.pgweir.log) {
    if (line.level === 'error' || line.event === 'bug') account.violation(`pgweir logged ${JSON.stringify(line)}`);
  }
  for (const line of site.pgweir.complaints) account.violation(`pgweir said ${line}`);
  report(account, await site.metrics(), killed);
  return account.violations.length === 0;
}

/** One after the other is killed and started again. Returns how often. */
async function killReplicas(site: Site, chance: Chance, isOver: () => boolean): Promise<number> {
  let count = 0;
  await sleep(1500);
  while (!isOver()) {
    const { replicas } = site.cluster;
    const replica = replicas[chance.between(0, replicas.length - 1)];
    await replica?.kill();
    count++;
    await sleep(chance.between(100, 1000));
    await replica?.start();
    await sleep(chance.between(1500, 3500));
  }
  return count;
}

function report({ deeds, answers, violations }: Account, page: string, killed: number): void {
  print(`deeds: ${list([...deeds])}`);
  print(`answers: ${list([...answers])}; replicas killed ${killed} times`);
  print(accountOf(page));
  for (const violation of violations.slice(0, SHOWN)) print(`VIOLATION ${violation}`);
  print(violations.length === 0 ? 'no violation' : `${violations.length} violations`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
