import { readdirSync, readFileSync } from 'node:fs';

/** What Linux tells of a process. */
export interface ProcessFacts {
  /** One letter; Z: it has ended, and nobody has asked for its exit code yet. */
  readonly state: string;
  readonly group: number;
  /** Ticks since the machine's start: with its number it names a process for good, since numbers come again. */
  readonly started: string;
}

/** Undefined when there is no such process, and on systems without /proc. */
export function processFacts(pid: number | string): ProcessFacts | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // Its name, in parentheses, may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0]!, group: Number(fields[2]), started: fields[19]! };
}

/**
 * Whether all of a group has ended, though there may be processes left that nobody has asked for their exit codes: the children of a
 * program that ended before them are the first process's of the machine or container, which may be one that never asks.
 */
export function onlyZombies(group: number): boolean {
  const members = processIds().flatMap((pid) => {
    const facts = processFacts(pid);
    return facts?.group === group ? [facts] : [];
  });
  return members.length > 0 && members.every(({ state }) => state === 'Z' || state === 'X');
}

function processIds(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}
