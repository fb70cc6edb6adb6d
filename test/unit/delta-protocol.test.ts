import { describe, expect, it } from 'vitest';
import type { Metadata, Protocol } from '../../src/connectors/delta/log/actions.js';
import { inspectTable, refuseUncommittable } from '../../src/connectors/delta/log/inspect.js';
import { newProtocol, protocolFindings } from '../../src/connectors/delta/log/protocol.js';
import {
  deltaType,
  lakeType,
  schemaFindings,
  schemaString,
  type DeltaField,
} from '../../src/connectors/delta/log/schema.js';
import type { LakeColumn } from '../../src/connectors/lake/model.js';
import type { Finding } from '../../src/connectors/types.js';
import { DeltaMemoryStore } from '../support/delta-memory-store.js';
import { COLUMNS, lakeColumn, publish, TABLE } from '../support/delta.js';

const base = { id: 'x', format: { provider: 'parquet', options: {} }, partitionColumns: [], configuration: {} };

function metadata(rest: Partial<Metadata> = {}): Metadata {
  return { ...base, schemaString: schemaString(COLUMNS), ...rest };
}

function withField(field: Partial<DeltaField>): Metadata {
  const full = { name: 'extra', type: 'long', nullable: true, metadata: {}, ...field };
  return metadata({ schemaString: JSON.stringify({ type: 'struct', fields: [...fields(COLUMNS), full] }) });
}

function fields(columns: readonly LakeColumn[]): DeltaField[] {
  return (JSON.parse(schemaString(columns)) as { fields: DeltaField[] }).fields;
}

function featured(...writerFeatures: string[]): Protocol {
  return { minReaderVersion: 1, minWriterVersion: 7, writerFeatures };
}

const legacy: Protocol = { minReaderVersion: 2, minWriterVersion: 6 };

function texts(findings: readonly Finding[]): string[] {
  return findings.map(({ severity, message }) => `${severity}: ${message}`);
}

function of(protocol: Protocol, has = metadata(), mode: 'append' | 'replace' = 'append'): string[] {
  return texts(protocolFindings({ protocol, metadata: has, mode }));
}

describe('a feature', () => {
  it.each([
    [
      'delta.constraints.positive',
      { configuration: { 'delta.constraints.positive': 'id > 0' } },
      'CHECK constraint positive',
    ],
    [
      'delta.columnMapping.mode',
      { configuration: { 'delta.columnMapping.mode': 'name' } },
      'delta.columnMapping.mode is name',
    ],
  ])('that is used is refused by its name: %s', (_key, rest, said) => {
    expect(of(legacy, metadata(rest)).join()).toContain(said);
    expect(of(featured('checkConstraints', 'columnMapping'), metadata(rest)).join()).toContain(said);
  });

  it.each(['delta.invariants', 'delta.generationExpression', 'delta.identity.start'])(
    'of a column is refused: %s',
    (key) => {
      expect(of(legacy, withField({ metadata: { [key]: 'x' } })).join()).toMatch(
        new RegExp(`problem: column "extra" .*${key}`),
      );
      const nested = {
        type: 'array',
        elementType: {
          type: 'struct',
          fields: [{ name: 'in', type: 'long', nullable: true, metadata: { [key]: 'x' } }],
        },
      };
      expect(of(legacy, withField({ type: nested })).join()).toContain('column "extra.in"');
    },
  );

  it('that is not used is no obstacle', () => {
    expect(of(legacy)).toEqual([]);
    expect(
      of({
        minReaderVersion: 3,
        minWriterVersion: 7,
        readerFeatures: ['deletionVectors', 'columnMapping'],
        writerFeatures: [
          'deletionVectors',
          'columnMapping',
          'checkConstraints',
          'icebergCompatV2',
          'clustering',
          'rowTracking',
        ],
      }),
    ).toEqual([]);
  });

  it('that is not known, or leaves commits to a catalog, is refused even for a commit without data', () => {
    expect(of(featured('materializePartitionColumns'))).toEqual([
      'problem: the table has the feature materializePartitionColumns, which is not known here',
    ]);
    expect(of(featured('catalogManaged')).join()).toContain('made by a catalog (catalogManaged)');
    expect(of({ minReaderVersion: 4, minWriterVersion: 8 }).join()).toContain('reader version 4 and writer version 8');
    expect(() => refuseUncommittable(TABLE, featured('catalogOwned-preview'))).toThrow(/catalogOwned-preview/);
    expect(() => refuseUncommittable(TABLE, legacy)).not.toThrow();
  });

  it('appendOnly is refused for replace', () => {
    const has = metadata({ configuration: { 'delta.appendOnly': 'true' } });
    expect(of(featured('appendOnly'), has, 'append')).toEqual([]);
    expect(of(featured('appendOnly'), has, 'replace').join()).toContain('delta.appendOnly');
  });

  it('a table that forgets transactions is warned of', () => {
    expect(
      of(legacy, metadata({ configuration: { 'delta.setTransactionRetentionDuration': 'interval 1 day' } })).join(),
    ).toMatch(/^warning: .*interval 1 day/);
  });
});

describe('a schema', () => {
  const written = { mode: 'append' as const, columns: COLUMNS, partitionBy: [] };
  const findings = (has: Metadata, rest: object = {}) => texts(schemaFindings(has, { ...written, ...rest }));

  it('is compared column by column', () => {
    expect(findings(metadata())).toEqual([]);
    expect(findings(metadata(), { columns: [...COLUMNS, lakeColumn('more', 'date')] })).toEqual([
      'problem: the table has no column "more"',
    ]);
    expect(findings(metadata(), { columns: [COLUMNS[0]!, lakeColumn('NAME', 'string')] })).toEqual([
      'problem: column "NAME" is called "name" in the table',
    ]);
    expect(
      findings(metadata(), { columns: [COLUMNS[0]!, lakeColumn('name', { kind: 'list', element: { kind: 'long' } })] }),
    ).toEqual(['problem: column "name" is string in the table, and array<long> would be written']);
    expect(findings(metadata(), { columns: [lakeColumn('id', 'long'), COLUMNS[1]!] })[0]).toContain(
      'may be NULL at the source',
    );
    expect(findings(metadata(), { partitionBy: ['name'] })[0]).toContain(
      'partitioned not at all, and the job would write it by name',
    );
  });

  it('a column that is not written is NULL in what is appended, and an obstacle otherwise', () => {
    expect(findings(withField({}))[0]).toMatch(/^warning: column "extra"/);
    expect(findings(withField({}), { mode: 'replace' })[0]).toMatch(/^problem: column "extra"/);
    expect(findings(withField({ nullable: false }))[0]).toMatch(/^problem: column "extra" of the table is NOT NULL/);
    expect(findings(withField({ metadata: { CURRENT_DEFAULT: '1' } }))[0]).toMatch(/^problem: .* has a default/);
  });

  it('goes to Delta and back', () => {
    for (const kind of [
      'boolean',
      'byte',
      'short',
      'integer',
      'long',
      'float',
      'double',
      'string',
      'binary',
      'date',
      'timestamp',
      'timestamp_ntz',
    ] as const) {
      expect(lakeType(deltaType({ kind }))).toEqual({ kind });
    }
    const decimal = { kind: 'decimal', precision: 38, scale: 9 } as const;
    expect(lakeType(deltaType({ kind: 'list', element: decimal }))).toEqual({ kind: 'list', element: decimal });
    expect(lakeType('variant')).toBeUndefined();
    expect(lakeType({ type: 'map', keyType: 'string', valueType: 'string' })).toBeUndefined();
  });

  it('with times without a zone asks for the feature, and no other table does', () => {
    expect(newProtocol(COLUMNS)).toEqual({ minReaderVersion: 1, minWriterVersion: 2 });
    expect(newProtocol([lakeColumn('t', { kind: 'list', element: { kind: 'timestamp_ntz' } })]).readerFeatures).toEqual(
      ['timestampNtz'],
    );
  });
});

it('a table is inspected before data moves', async () => {
  const store = new DeltaMemoryStore();
  const written = { mode: 'append' as const, columns: COLUMNS, partitionBy: [] };
  expect(await inspectTable(store, TABLE, written)).toEqual([]);
  const nameless = { ...written, columns: ['b c', ''].map((name) => lakeColumn(name, 'long')) };
  expect(texts(await inspectTable(store, TABLE, nameless))).toEqual([
    `problem: Delta can't hold a column named "b c": a name may have no space and none of ,;{}()=`,
    `problem: Delta can't hold a column named "": a name may have no space and none of ,;{}()=`,
  ]);
  await publish(store, 'a', []);
  expect(await inspectTable(store, TABLE, written)).toEqual([]);
  const unfit = { ...written, columns: [lakeColumn('id', 'string', false), ...COLUMNS.slice(1)] };
  expect(await inspectTable(store, TABLE, unfit)).toMatchObject([
    { message: expect.stringContaining('"id" is long') as string },
  ]);
});
