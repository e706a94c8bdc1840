/** The process of a worker, forked by the supervisor. It obeys nobody else: a terminal sends its signals to all of a group. */
import type { Socket } from 'node:net';
import type { Downward, Upward } from './messages.ts';
import { Worker } from './worker.ts';

for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined);

/** A defect of pgweir itself. Source: EX_SOFTWARE in sysexits.h, as for the whole program. */
const EXIT_BUG = 70;

const worker = new Worker({
  // Without the supervisor there is no channel; the process ends with it.
  send: (message, sent) => void process.send?.(message, undefined, undefined, () => sent?.()),
  exit: (exitCode) => process.exit(exitCode),
});
process.on('uncaughtException', (error) => void worker.broken(error, EXIT_BUG));
// Only the supervisor has the other end of the channel.
process.on('message', (message, handle) => worker.receive(message as Downward, handle as Socket | undefined));
// It has ended without a word: nobody watches the backends any more, and clients are to look for somebody else.
process.on('disconnect', () => process.exit(0));
process.send?.({ kind: 'booted' } satisfies Upward);
