import { readFileSync } from 'node:fs';

/** USER_HZ: the unit of times in /proc, 100 on every Linux that Node runs on (proc_pid_stat(5)). */
const TICKS_PER_SECOND = 100;
const HAS_PROC = process.platform === 'linux';

/** CPU time of a process and of all it ever started, as /proc says; null where there is no /proc. */
export function cpuSecondsOf(pid: number): number | null {
  return HAS_PROC ? sum(familyOf(pid).map(cpuTicks)) / TICKS_PER_SECOND : null;
}

/**
 * Of one process its RSS; of several the sum of their proportional shares, since they share pages. Null where there is no
 * /proc. Adding up the shares of a hundred processes takes time: not while something is measured.
 */
export function memoryBytesOf(pid: number): number | null {
  if (!HAS_PROC) return null;
  const pids = familyOf(pid);
  const [only, ...others] = pids;
  const memory =
    only !== undefined && others.length === 0
      ? [kilobytes(only, 'status', 'VmRSS')]
      : pids.map((each) => kilobytes(each, 'smaps_rollup', 'Pss'));
  return sum(memory) * 1024;
}

/** How many processes a process and its descendants are; 0 where there is no /proc. */
export function familySizeOf(pid: number): number {
  return HAS_PROC ? familyOf(pid).length : 0;
}

/** The process and its descendants, each from its parent's list: a search of all of /proc would disturb what is measured. */
function familyOf(pid: number): number[] {
  const children = read(pid, `task/${pid}/children`).trim();
  return [pid, ...(children === '' ? [] : children.split(' ')).flatMap((child) => familyOf(Number(child)))];
}

/** utime, stime, and what ended children had used (fields 14 to 17 of proc_pid_stat(5)). */
function cpuTicks(pid: number): number {
  const stat = read(pid, 'stat');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return sum(fields.slice(11, 15).map(Number));
}

function kilobytes(pid: number, file: string, key: string): number {
  return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(read(pid, file))?.[1] ?? 0);
}

/** Empty when the process has ended meanwhile. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
