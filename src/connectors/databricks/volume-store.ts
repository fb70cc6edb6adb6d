import { randomUUID } from 'node:crypto';
import type { ObjectInfo, ObjectStore, ObjectWriter, OpenStore } from '../objects/store.js';
import { volumePath, type DatabricksConnectionConfig } from './config.js';
import { DatabricksHttp, TIMING, type Timing } from './http.js';
import { openSpool } from './spool.js';

const FILES = '/api/2.0/fs/files';
const DIRECTORIES = '/api/2.0/fs/directories';
const NOT_FOUND = 404;
const CONFLICT = 409;
/** The service takes ten requests of a workspace at a time. */
const DELETES_AT_A_TIME = 4;
/** The longest that the bytes of a file may take on their way, in ms: the API takes files of up to 5 GiB. */
const TRANSFER = 30 * 60_000;

interface Entry {
  /** Absolute. */
  readonly path: string;
  readonly is_directory: boolean;
  readonly file_size?: number;
  /** Ms since 1970. */
  readonly last_modified?: number;
}

/** A folder of a Unity Catalog volume, by the Files API. */
export class VolumeStore implements OpenStore {
  readonly url: string;
  readonly #http: DatabricksHttp;

  constructor(config: DatabricksConnectionConfig, signal: AbortSignal, timing: Timing = TIMING) {
    this.url = volumePath(config.volume!);
    this.#http = new DatabricksHttp(config, signal, timing);
  }

  /** Of a path of this store, as statements and the Files API write it. */
  absolute(path: string): string {
    return path === '' ? this.url : `${this.url}/${path}`;
  }

  async get(path: string): Promise<Uint8Array | undefined> {
    const response = await this.#read(path);
    return response.status === NOT_FOUND ? undefined : this.#bytes(response);
  }

  async range(path: string, from: number, to: number): Promise<Uint8Array> {
    if (to <= from) return new Uint8Array();
    const response = await this.#read(path, { range: `bytes=${from}-${to - 1}` });
    if (response.status === NOT_FOUND) throw this.#http.errors.of('Unknown', 'does not have a file that was there');
    const bytes = await this.#bytes(response);
    // A service that doesn't know of ranges gives the whole.
    return response.status === 206 ? bytes : bytes.subarray(from, to);
  }

  #read(path: string, headers: Record<string, string> = {}): Promise<Response> {
    const request = { method: 'GET', path: this.#file(path), headers, repeatable: true, takes: TRANSFER } as const;
    return this.#http.send({ ...request, accept: [NOT_FOUND] });
  }

  async #bytes(response: Response): Promise<Uint8Array> {
    return new Uint8Array(await this.#http.body(response, () => response.arrayBuffer()));
  }

  async head(path: string): Promise<ObjectInfo | undefined> {
    const request = { method: 'HEAD', path: this.#file(path), repeatable: true } as const;
    const { status, headers } = await this.#http.send({ ...request, accept: [NOT_FOUND] });
    if (status === NOT_FOUND) return undefined;
    const modifiedAt = new Date(headers.get('last-modified') ?? 0);
    return infoOf(path, Number(headers.get('content-length')), modifiedAt);
  }

  /** By `overwrite=false`, which the service documents to be refused where there is a file. */
  async putIfAbsent(path: string, bytes: Uint8Array): Promise<boolean> {
    const response = await this.#put(path, bytes, false);
    if (response.status !== CONFLICT) return true;
    const stored = await this.get(path);
    return stored !== undefined && Buffer.from(stored).equals(bytes);
  }

  /** The Files API has no condition on what is replaced. Nothing of a warehouse's destination asks for it. */
  replace(): Promise<boolean> {
    return Promise.reject(
      this.#http.errors.of('ServerUnsuitable', 'can not replace a file of a volume on a condition'),
    );
  }

  /** Written beside, on this machine's disk, then sent with its length: a body can be sent again when the service puts it off. */
  async create(path: string): Promise<ObjectWriter> {
    const spool = await openSpool();
    const send = async () => {
      await this.#put(path, await spool.content(), true);
      return spool.size;
    };
    return {
      write: (bytes) => spool.write(bytes),
      finish: async () => {
        try {
          return await send();
        } finally {
          await spool.remove();
        }
      },
      [Symbol.asyncDispose]: () => spool.remove(),
    };
  }

  #put(path: string, body: Uint8Array | Blob, overwrite: boolean): Promise<Response> {
    return this.#http.send({
      ...{ method: 'PUT', path: `${this.#file(path)}?overwrite=${overwrite}`, body, repeatable: true, takes: TRANSFER },
      headers: { 'content-type': 'application/octet-stream' },
      accept: overwrite ? [] : [CONFLICT],
    });
  }

  /** The service lists a directory at a time, in no stated order: the entries of one are in memory, sorted. */
  async *list(prefix: string, after = ''): AsyncGenerator<readonly ObjectInfo[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    yield* this.#listed(folder, { prefix, after });
  }

  async *#listed(folder: string, within: { prefix: string; after: string }): AsyncGenerator<readonly ObjectInfo[]> {
    let page: ObjectInfo[] = [];
    for (const entry of await this.#entries(folder)) {
      if (!mayHold(entry, within)) continue;
      if (!entry.isFolder) {
        page.push(entry.info);
        continue;
      }
      if (page.length > 0) yield page;
      page = [];
      yield* this.#listed(entry.path, within);
    }
    if (page.length > 0) yield page;
  }

  /** Of one folder, in the order of the bytes of all paths below them. Folders end in a slash. */
  async #entries(folder: string): Promise<{ path: string; isFolder: boolean; info: ObjectInfo }[]> {
    const found = [];
    const base = this.absolute(folder.replace(/\/$/, ''));
    for (let token: string | undefined = ''; token !== undefined;) {
      const page = await this.#page(base, token);
      found.push(...page.contents.map((entry) => this.#entry(entry)));
      token = page.next;
    }
    return found.sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  }

  /** A folder that isn't there is an empty one. */
  async #page(base: string, token: string): Promise<{ contents: readonly Entry[]; next: string | undefined }> {
    const query = token === '' ? '' : `?page_token=${encodeURIComponent(token)}`;
    const request = { method: 'GET', path: `${DIRECTORIES}${encoded(base)}${query}`, repeatable: true } as const;
    const response = await this.#http.send({ ...request, accept: [NOT_FOUND] });
    if (response.status === NOT_FOUND) return { contents: [], next: undefined };
    type Page = { readonly contents?: readonly Entry[]; readonly next_page_token?: string };
    const page = await this.#http.body(response, () => response.json() as Promise<Page>);
    return { contents: page.contents ?? [], next: page.next_page_token === '' ? undefined : page.next_page_token };
  }

  #entry({ path, is_directory: isFolder, file_size: size = 0, last_modified: modified = 0 }: Entry) {
    const relative = path.replace(/\/$/, '').slice(this.url.length + 1);
    return {
      path: isFolder ? `${relative}/` : relative,
      isFolder,
      info: infoOf(relative, size, new Date(modified)),
    };
  }

  async delete(paths: readonly string[]): Promise<void> {
    const left = [...paths];
    const deleter = async () => {
      for (let path = left.pop(); path !== undefined; path = left.pop())
        await this.#http.send({
          ...{ method: 'DELETE', path: this.#file(path), repeatable: true, accept: [NOT_FOUND] },
        });
    };
    await Promise.all(Array.from({ length: DELETES_AT_A_TIME }, deleter));
  }

  /** A file is sent in one request, which leaves it whole or not at all: there is nothing to sweep. */
  sweep(): Promise<number> {
    return Promise.resolve(0);
  }

  /** Requests end with the signal, and there is no session. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #file(path: string): string {
    return `${FILES}${encoded(this.absolute(path))}`;
  }
}

function infoOf(path: string, size: number, modifiedAt: Date): ObjectInfo {
  // HEAD and lists differ in what is below a second.
  return { path, size, tag: `${Math.floor(modifiedAt.getTime() / 1_000)}-${size}`, modifiedAt };
}

/** Whether an object of the prefix, later than `after`, can be this one or below it. */
function mayHold({ path, isFolder }: { path: string; isFolder: boolean }, within: { prefix: string; after: string }) {
  const { prefix, after } = within;
  if (!isFolder) return path.startsWith(prefix) && isLater(path, after);
  const fits = path.startsWith(prefix) || prefix.startsWith(path);
  return fits && (after.startsWith(path) || isLater(path, after));
}

function isLater(path: string, after: string): boolean {
  return Buffer.compare(Buffer.from(path), Buffer.from(after)) > 0;
}

function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** Rounds, and writers in each, of the look at whether the service keeps its word. */
const ROUNDS = 3;
const WRITERS = 6;

/**
 * Whether, of writers that create the same file at the same moment, one succeeds and the file is that one's. The service documents that
 * it refuses a file that is there, not that it does so for two at once; a race that it loses seldom is not seen here. Leaves nothing.
 */
export async function keepsFirst(store: ObjectStore, folder: string): Promise<boolean> {
  for (let round = 0; round < ROUNDS; round++) {
    const path = `${folder}/${randomUUID()}`;
    const offers = Array.from({ length: WRITERS }, () => Buffer.from(randomUUID()));
    try {
      const won = await Promise.all(offers.map((offer) => store.putIfAbsent(path, offer)));
      const stored = await store.get(path);
      const winners = offers.filter((_, writer) => won[writer]);
      if (winners.length !== 1 || stored === undefined || !winners[0]!.equals(stored)) return false;
    } finally {
      await store.delete([path]);
    }
  }
  return true;
}
