import { randomUUID } from 'node:crypto';
import { reach } from '../../core/fail-points.js';
import { LonghaulError } from '../../core/errors.js';
import type { TableSpec } from '../../core/model.js';
import type { NamedType, Publication, Publishing, Retained, TableFormat } from '../lake/format.js';
import type { LakeColumn } from '../lake/model.js';
import { HIDDEN_FOLDER, tablePath } from '../lake/table-path.js';
import { printedType } from '../lake/types/index.js';
import { verifiedFiles } from '../lake/verified-files.js';
import type { ObjectStore } from '../objects/store.js';
import { runClosed } from '../run-closed.js';
import { problem } from '../findings.js';
import type { Finding } from '../types.js';
import { point } from './pointer.js';
import { isWhole, Versions, type PublishedEntry } from './versions.js';

/** Tables of Parquet files that a list names: see `pointer.ts` for who reads it. */
export class ParquetFormat implements TableFormat {
  readonly ownFolder = HIDDEN_FOLDER;

  constructor(
    private readonly name: string,
    private readonly store: ObjectStore,
  ) {}

  async check(spec: TableSpec, columns: readonly LakeColumn[]): Promise<readonly Finding[]> {
    const newest = await this.#versions(spec).newest();
    const findings = newest && spec.mode === 'append' ? differences(newest, columns) : [];
    return [...findings, ...partitioned(spec)];
  }

  async columns(spec: TableSpec): Promise<readonly NamedType[] | undefined> {
    return (await this.#versions(spec).newest())?.columns;
  }

  mark(spec: TableSpec): Promise<number> {
    return this.#versions(spec).last();
  }

  async publish(publication: Publication): Promise<void> {
    const { run, spec } = publication.record;
    const versions = this.#versions(spec);
    let entry: PublishedEntry | undefined;
    for (;;) {
      const { last, outcome } = await this.#sight(versions, publication);
      if (outcome === 'published') break;
      if (outcome === 'closed') throw runClosed({ run, table: spec.table }, 'closed');
      await this.#refuseChanged(versions, publication, last);
      entry ??= await this.#entryOf(publication);
      const before = isWhole(last + 1) && spec.mode === 'append' ? await versions.content(last) : undefined;
      await reach('publish: before COMMIT');
      if (await versions.put(last + 1, { ...entry, ...(before && { before }) })) break;
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
    const versions = this.#versions(spec);
    const newest = await versions.content();
    const before = newest && (await versions.content(newest.start - 1));
    return new Set([...(before?.files ?? []), ...(newest?.files ?? [])]);
  }

  /** Also the newest state and the one before it, whatever their age. */
  async retain(spec: Pick<TableSpec, 'to'>, older: number): Promise<Retained | undefined> {
    const since = Date.now() - older;
    const versions = this.#versions(spec);
    const files = new Set<string>();
    let content = await versions.content();
    if (content === undefined) return undefined;
    for (let states = 1; content !== undefined; states++) {
      for (const file of content.files) files.add(file);
      const { start } = content;
      // The state before it ended then.
      if (states > 1 && (await versions.writtenAt(start)) < since) break;
      content = await versions.content(start - 1);
    }
    return { files, since };
  }

  /** What has become of the run's table, as the entries up to the last one say: those since its epoch began. */
  async #sight(
    versions: Versions,
    { record: { run, spec }, epoch, since = 0 }: Publishing,
  ): Promise<{ last: number; outcome?: 'published' | 'closed' }> {
    const last = await versions.last(since);
    for await (const { entry } of versions.backwards(last, since)) {
      if (entry.run !== run || entry.table !== spec.table) continue;
      if (entry.kind === 'published') return { last, outcome: 'published' };
      if (entry.epoch >= epoch) return { last, outcome: 'closed' };
    }
    return { last };
  }

  async #refuseChanged(versions: Versions, { record: { spec }, columns }: Publication, last: number): Promise<void> {
    if (spec.mode === 'replace') return;
    const newest = await versions.newest(last);
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

  #versions({ to }: Pick<TableSpec, 'to'>): Versions {
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
