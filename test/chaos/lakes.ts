import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createConnector } from '../../src/connectors/registry.js';
import { openStore, type StoreLocation } from '../../src/connectors/objects/open.js';
import type { OpenStore } from '../../src/connectors/objects/store.js';
import type { DestinationSession } from '../../src/connectors/types.js';
import { startS3, type S3Server } from '../support/s3.js';
import { FaultProxy } from './proxy.js';

/** Kinds of lake, by which their connections are called. */
export const LAKES = ['delta', 'parquet', 'delta-s3', 'parquet-s3'] as const;
export type Lake = (typeof LAKES)[number];
export const S3_LAKES = ['delta-s3', 'parquet-s3'] as const;

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet };

/** A folder, and an S3 server behind a proxy that all workers go through, with a lake of each format in both. */
export class Lakes {
  private constructor(
    private readonly folder: string,
    readonly s3: S3Server,
    readonly proxy: FaultProxy,
  ) {}

  static async start(folder: string): Promise<Lakes> {
    await mkdir(folder, { recursive: true });
    const s3 = await startS3();
    return new Lakes(folder, s3, await FaultProxy.start(Number(new URL(s3.endpoint).port)));
  }

  /** Lines of longhaul.yaml. */
  get connections(): string {
    return LAKES.map((lake) => `  ${lake}: {type: ${formatOf(lake)}, ${this.#place(lake)}}\n`).join('');
  }

  #place(lake: Lake): string {
    const { location } = this.at(lake);
    if (location.kind === 'local') return `path: "${location.path}"`;
    const { accessKeyId, secretAccessKey } = this.s3.credentials;
    const endpoint = `http://127.0.0.1:${this.proxy.port}`;
    return `path: "s3://${location.bucket}/${location.prefix}", s3: {endpoint: "${endpoint}", accessKeyId: "${accessKeyId}", secretAccessKey: "${secretAccessKey}"}`;
  }

  /** Not through the proxy. */
  at(lake: Lake): { readonly format: 'delta' | 'parquet'; readonly location: StoreLocation } {
    const inS3 = (S3_LAKES as readonly Lake[]).includes(lake);
    const location = inS3 ? this.s3.location(lake) : ({ kind: 'local', path: join(this.folder, lake) } as const);
    return { format: formatOf(lake), location };
  }

  store(lake: Lake): Promise<OpenStore> {
    return openStore(this.at(lake).location, { name: lake, signal: new AbortController().signal, log });
  }

  /** As a worker has it. */
  session(lake: Lake): Promise<DestinationSession> {
    const { format: type, location } = this.at(lake);
    const settings = { compression: 'zstd', targetFileSize: 128 << 20, outOfRange: 'error' } as const;
    const connector = createConnector({ type, name: lake, location, ...settings });
    return connector.openDestination({ signal: new AbortController().signal, log, label: 'chaos' });
  }

  /** Everything, the ledger too. */
  async empty(lake: Lake): Promise<void> {
    const { location } = this.at(lake);
    if (location.kind === 'local') return rm(location.path, { recursive: true, force: true });
    await using store = await this.store(lake);
    for await (const page of store.list('')) await store.delete(page.map(({ path }) => path));
  }

  async stop(): Promise<void> {
    await this.proxy.stop();
    await this.s3.stop();
  }
}

function formatOf(lake: Lake): 'delta' | 'parquet' {
  return lake.startsWith('delta') ? 'delta' : 'parquet';
}
