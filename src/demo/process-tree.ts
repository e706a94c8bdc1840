import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/**
 * The direct children of a process. A postmaster's children are all direct ones, and each leads a process group of
 * its own (postmaster.c calls setsid), so a signal to the postmaster's group does not reach them.
 */
export function childrenOf(parent: number): number[] {
  return parentsByProcess()
    .filter(([, parentPid]) => parentPid === parent)
    .map(([pid]) => pid);
}

/** Sends a signal; false when there is no such process any more. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Pairs of process and parent. /proc where there is one, since small containers have no `ps`. */
function parentsByProcess(): [number, number][] {
  if (process.platform !== 'linux') {
    const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' });
    return table.split('\n').map((line) => {
      const [pid = 0, parent = 0] = line.trim().split(/\s+/).map(Number);
      return [pid, parent];
    });
  }
  const processes: [number, number][] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // "pid (command) state ppid ...": the command may hold anything, so the last parenthesis counts.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      processes.push([Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])]);
    } catch {
      // It ended between the listing and the look.
    }
  }
  return processes;
}
