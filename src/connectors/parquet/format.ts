import { randomUUID } from 'node:crypto';
import { reach } from '../../core/fail-points.js';
import { LonghaulError } from '../../core/errors.js';
import type { TableSpec } from '../../core/model.js';
import type { NamedType, Publication, Publishing, TableFormat } from '../lake/format.js';
import type { LakeColumn } from '../lake/model.js';
import { HIDDEN_FOLDER, tablePath } from '../lake/table-path.js';
import { printedType } from '../lake/types/index.js';
import { verifiedFiles } from '../lake/verified-files.js';
import type { ObjectStore } from '../objects/store.js';
import { runClosed } from '../run-closed.js';
import { problem } from '../findings.js';
import type { Finding } from '../types.js';
import { point } from './pointer.js';
import { current, Versions, type PublishedEntry } from './versions.js';

/** Tables of Parquet files that a list names: see `pointer.ts` for who reads it. */
export class ParquetFormat implements TableFormat {
  readonly ownFolder = HIDDEN_FOLDER;

  constructor(
    private readonly name: string,
    private readonly store: ObjectStore,
  ) {}

  async check(spec: TableSpec, columns: readonly LakeColumn[]): Promise<readonly Finding[]> {
    const [newest] = await current(this.#versions(spec));
    const findings = newest && spec.mode === 'append' ? differences(newest, columns) : [];
    return [...findings, ...partitioned(spec)];
  }

  async columns(spec: TableSpec): Promise<readonly NamedType[] | undefined> {
    return (await current(this.#versions(spec)))[0]?.columns;
  }

  async publish(publication: Publication): Promise<void> {
    const { run, spec } = publication.record;
    const versions = this.#versions(spec);
    let entry: PublishedEntry | undefined;
    for (;;) {
      const { last, outcome } = await this.#sight(versions, publication);
      if (outcome === 'published') break;
      if (outcome === 'closed') throw runClosed({ run, table: spec.table }, 'closed');
      await this.#refuseChanged(versions, publication);
      entry ??= await this.#entryOf(publication);
      await reach('publish: before COMMIT');
      if (await versions.put(last + 1, entry)) break;
    }
    await point(this.store, tablePath(spec.to)!, versions);
  }

  async settle(publishing: Publishing): Promise<'published' | 'closed'> {
    const { record, epoch } = publishing;
    const { run, spec } = record;
    const versions = this.#versions(spec);
    for (;;) {
      const { last, outcome } = await this.#sight(versions, publishing);
      if (outcome === 'published') await point(this.store, tablePath(spec.to)!, versions);
      if (outcome !== undefined) return outcome;
      const fence = { kind: 'closed' as const, run, table: spec.table, epoch, token: randomUUID() };
      if (await versions.put(last + 1, fence)) return 'closed';
    }
  }

  /** The newest state and the one before it, which readers may still be at. */
  async referenced(spec: TableSpec): Promise<ReadonlySet<string>> {
    const files = new Set<string>();
    let states = 0;
    for await (const entry of this.#versions(spec).backwards()) {
      if (entry.kind !== 'published') continue;
      for (const file of entry.files) files.add(file);
      if (entry.mode === 'replace' && ++states === 2) break;
    }
    return files;
  }

  /** What has become of the run's table, as the entries up to the last one say. */
  async #sight(
    versions: Versions,
    { record: { run, spec }, epoch }: Publishing,
  ): Promise<{ last: number; outcome?: 'published' | 'closed' }> {
    const last = await versions.last();
    for await (const entry of versions.backwards(last)) {
      if (entry.run !== run || entry.table !== spec.table) continue;
      if (entry.kind === 'published') return { last, outcome: 'published' };
      if (entry.epoch >= epoch) return { last, outcome: 'closed' };
    }
    return { last };
  }

  async #refuseChanged(versions: Versions, { record: { spec }, columns }: Publication): Promise<void> {
    if (spec.mode === 'replace') return;
    const [newest] = await current(versions);
    if (newest === undefined || differences(newest, columns).length === 0) return;
    throw new LonghaulError(
      'TargetChanged',
      `Connection "${this.name}": ${spec.to} has other columns than when the run was opened; it was left as it is.`,
      { next: 'Start the job anew, without resume.' },
    );
  }

  async #entryOf({ record: { run, spec }, epoch, columns, rows, files }: Publication): Promise<PublishedEntry> {
    const paths: string[] = [];
    const table = `${spec.to} of connection "${this.name}"`;
    for await (const file of verifiedFiles(this.store, files, table)) paths.push(file.path);
    return {
      ...{ kind: 'published', run, table: spec.table, epoch, token: randomUUID(), mode: spec.mode },
      publishedAt: new Date().toISOString(),
      columns: columns.map(({ name, type, nullable }) => ({ name, type, nullable })),
      ...{ rows, files: paths },
    };
  }

  #versions({ to }: TableSpec): Versions {
    return new Versions(this.store, tablePath(to)!);
  }
}

function differences({ columns }: PublishedEntry, wanted: readonly LakeColumn[]): Finding[] {
  const there = columns.map(({ name, type }) => `${name} ${printedType(type)}`);
  const given = wanted.map(({ name, type }) => `${name} ${printedType(type)}`);
  if (there.join() === given.join()) return [];
  const message = `its files have the columns ${there.join(', ')}, and the source gives ${given.join(', ')}`;
  return [problem('to', message, 'give the same columns and types, or use mode: replace')];
}

function partitioned({ partitionBy }: TableSpec): Finding[] {
  if (partitionBy === undefined) return [];
  const message = 'a list of Parquet files has no place for the values of partitions';
  return [problem('partitionBy', message, 'take it out, or use a connection of type delta')];
}
