import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { filesUnreadable, trailerMalformed, type Subject } from './errors.js';

/** Bytes of a trailer that are read. */
const LONGEST = 65_536;

export interface Trailer {
  /** Absent: the program didn't count. */
  readonly rows?: number;
}

/** What a program left at `done`; undefined when there is nothing. Text that is no JSON object is taken for a mark without a count. */
export async function readTrailer(path: string, subject: Subject): Promise<Trailer | undefined> {
  const text = await startOf(path, subject);
  if (text === undefined) return undefined;
  if (!text.trimStart().startsWith('{')) return {};
  const rows = rowsIn(text, subject);
  if (rows === undefined) return {};
  if (typeof rows !== 'number' || !Number.isSafeInteger(rows) || rows < 0) throw trailerMalformed(subject);
  return { rows };
}

function rowsIn(json: string, subject: Subject): unknown {
  try {
    return (JSON.parse(json) as { readonly rows?: unknown }).rows;
  } catch {
    throw trailerMalformed(subject);
  }
}

async function startOf(path: string, subject: Subject): Promise<string | undefined> {
  try {
    // Whatever the program made of it, nobody is waited for.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(LONGEST), 0, LONGEST, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw code === undefined ? error : filesUnreadable(subject, code);
  }
}
