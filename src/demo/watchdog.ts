import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Sees to it that nothing is left behind, however this process ends, SIGKILL included: a shell in a session of its
 * own reads a pipe that only we write to. When the pipe closes, it stops what we had entrusted to it and removes the
 * directories. SIGQUIT is PostgreSQL's immediate shutdown, in which it also frees its shared memory; SIGCONT lets a
 * paused server hear it. A shell and not Node: it starts in a millisecond and survives the loss of every Node process.
 */
const SCRIPT = `
trap '' INT TERM HUP
pids=' '
while read -r verb pid; do
  pids=" $(echo "$pids" | sed "s/ $pid / /") "
  if [ "$verb" = add ]; then pids="$pids$pid "; fi
done
for pid in $pids; do kill -QUIT "$pid"; kill -CONT "$pid"; done 2>/dev/null
tries=0
while [ "$tries" -lt 80 ]; do
  alive=
  for pid in $pids; do if kill -0 "$pid" 2>/dev/null; then alive=yes; fi; done
  if [ -z "$alive" ]; then break; fi
  tries=$((tries + 1))
  sleep 0.1
done
for pid in $pids; do kill -KILL "$pid"; done 2>/dev/null
rm -rf "$@" || { sleep 1; rm -rf "$@"; }
`;

export class Watchdog {
  readonly #shell: ChildProcess;

  /** @param directories removed with all their content in the end. */
  constructor(directories: readonly string[]) {
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT, 'pgweir-watchdog', ...directories], {
      stdio: ['pipe', 'ignore', 'ignore'],
      cwd: '/',
      detached: true,
    });
    this.#shell.unref();
    // The shell may have been killed by somebody else; that must not take us down.
    this.#shell.stdin?.on('error', () => undefined);
  }

  /** Entrusts a process, which it stops when we are gone. */
  add(pid: number): void {
    this.#shell.stdin?.write(`add ${pid}\n`);
  }

  /** The process has ended: its number may belong to a stranger soon. */
  remove(pid: number): void {
    this.#shell.stdin?.write(`remove ${pid}\n`);
  }

  /** Stops what is still entrusted, removes the directories, and waits until that is done. */
  async finish(): Promise<void> {
    this.#shell.ref();
    const ended = this.#shell.exitCode === null && this.#shell.signalCode === null ? once(this.#shell, 'exit') : null;
    this.#shell.stdin?.end();
    await ended;
  }
}
