import { openAsBlob } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file on this machine's disk that holds what is to be sent. */
export interface Spool {
  /** In bytes, of what was written. */
  readonly size: number;
  write(bytes: Uint8Array): Promise<void>;
  /** All of it; read from the disk as it is sent, and as often. Nothing is written after it. */
  content(): Promise<Blob>;
  /** Idempotent. */
  remove(): Promise<void>;
}

export async function openSpool(): Promise<Spool> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-upload-'));
  const path = join(folder, 'file');
  const file = await open(path, 'w', 0o600);
  let size = 0;
  let isOpen = true;
  const close = async () => {
    if (isOpen) await file.close();
    isOpen = false;
  };
  return {
    get size() {
      return size;
    },
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
      size += bytes.length;
    },
    async content() {
      await close();
      return openAsBlob(path);
    },
    async remove() {
      await close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
