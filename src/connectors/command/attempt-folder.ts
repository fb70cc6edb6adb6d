import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shortHash } from '../hash.js';
import type { Output } from './config.js';
import type { TmpRoot } from './tmp-root.js';

/** Which attempt a folder is of, for people who look: the folder's name is unique without it. */
export interface AttemptName {
  readonly run: string;
  readonly table: string;
  readonly query: string;
  readonly attempt: number;
}

/** Where the things of an attempt are. All of it goes with the attempt. */
export class AttemptFolder {
  /** For files of the program's own. */
  readonly tmp: string;
  /** What the program gets on its standard input. */
  readonly request: string;
  /** Named pipes; `rows` is one with `pipe` and `stdout`. */
  readonly rows: string;
  readonly stdout: string;
  readonly stderr: string;
  /** With `files`. */
  readonly files: string;
  /** Where the program may say that it is complete, and how many rows it gave. */
  readonly done: string;

  constructor(
    readonly path: string,
    output: Output,
  ) {
    const at = (name: string): string => join(path, name);
    [this.tmp, this.request, this.rows, this.files] = [at('tmp'), at('request.json'), at('rows'), at('files')];
    [this.stdout, this.stderr] = [at('stdout'), at('stderr')];
    this.done = output === 'files' ? join(this.files, '_done') : at('done');
  }

  async make(request: string): Promise<void> {
    await this.#makeFolders();
    await writeFile(this.request, request, { mode: 0o600 });
  }

  async #makeFolders(): Promise<void> {
    for (let tries = 5; ; tries--) {
      try {
        await mkdir(this.tmp, { recursive: true, mode: 0o700 });
        await mkdir(this.files, { mode: 0o700 });
        return;
      } catch (error) {
        // Another attempt has ended, and took the folder above with it in which it had been alone.
        if (tries === 0 || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
  }
}

let made = 0;

/** Another one for each call: an attempt's number comes again. */
export function attemptPath(root: TmpRoot, { run, table, query, attempt }: AttemptName): string {
  const own = `attempt-${attempt}-${root.owner}-${++made}`;
  return join(root.path, safeName(run), safeName(table), safeName(query), own);
}

const LONGEST_NAME = 40;

/** As a file may be called on any system; a name that had to be changed gets a digest of what it was. */
export function safeName(text: string): string {
  const plain = text
    .replace(/[^\w.-]/g, '_')
    .replace(/^[.-]/, '_')
    .slice(0, LONGEST_NAME);
  return plain === text ? plain : `${plain}-${shortHash(text).slice(0, 8)}`;
}
