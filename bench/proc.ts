import { readdir, readFile, writeFile } from 'node:fs/promises';

/** What Linux knows of processes. */

/** Linux counts CPU in ticks of 1/100 s. */
const TICKS = 100;

export async function memoryMB(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
}

/** The highest resident memory is counted anew: 5 (proc(5), clear_refs). */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5');
}

/** User and system time of all threads: fields 14 and 15, counted behind the name, which may hold spaces. */
export async function cpuSeconds(pid: number): Promise<number> {
  const fields = await statOf(pid);
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Resident memory of all that a process has started, and that they have. Pages that they share count for each. */
export async function descendantsMB(pid: number): Promise<number> {
  const children = new Map<number, number[]>();
  for (const entry of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const parent = Number((await statOf(entry).catch(() => []))[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), entry]);
  }
  let sum = 0;
  for (const queue = [...(children.get(pid) ?? [])]; queue.length > 0;) {
    const next = queue.pop()!;
    sum += await memoryMB(next, 'VmRSS').catch(() => 0);
    queue.push(...(children.get(next) ?? []));
  }
  return sum;
}
