import { afterAll, beforeAll, expect, it } from 'vitest';
import { WarehouseClient } from '../../src/connectors/databricks/client.js';
import { DatabricksFormat } from '../../src/connectors/databricks/format.js';
import { createDatabricksConnector } from '../../src/connectors/databricks/index.js';
import { typeNamed, typeSql } from '../../src/connectors/databricks/names.js';
import { VolumeStore } from '../../src/connectors/databricks/volume-store.js';
import type { LakeType } from '../../src/connectors/lake/model.js';
import { FakeDatabricks } from '../support/fake-databricks.js';

let fake: FakeDatabricks;
beforeAll(async () => {
  fake = await FakeDatabricks.start();
});
afterAll(() => fake.stop());

const { signal } = new AbortController();
const quiet = () => undefined;
const options = { signal, label: 'test', log: { debug: quiet, info: quiet, warn: quiet } };
const spec = { table: 'x', to: 'bronze.known', mode: 'append', partition: { by: 'auto' } } as const;

const TYPES: readonly LakeType[] = [
  ...(['boolean', 'byte', 'short', 'integer', 'long', 'float', 'double', 'string'] as const).map((kind) => ({ kind })),
  ...(['binary', 'date', 'timestamp', 'timestamp_ntz'] as const).map((kind) => ({ kind })),
  { kind: 'decimal', precision: 12, scale: 2 },
  { kind: 'list', element: { kind: 'list', element: { kind: 'decimal', precision: 38, scale: 0 } } },
];

it.each(TYPES)('%j is told from how it is written', (type) => {
  expect(typeNamed(typeSql(type))).toEqual(type);
});

it.each(['MAP<STRING,INT>', 'VARCHAR(3)', 'STRUCT<A:INT>', 'ARRAY<VARIANT>', ''])('%s is not known', (sql) => {
  expect(typeNamed(sql)).toBeUndefined();
});

it('a source that can not tell its columns takes those of the table, unless one is of a type that is not written', async () => {
  const client = new WarehouseClient(fake.config(), signal);
  const format = new DatabricksFormat(client, new VolumeStore(fake.config(), signal));
  expect(await format.columns(spec)).toBeUndefined();
  const create = 'CREATE OR REPLACE TABLE `dev`.`bronze`.`known`';
  await client.run({ sql: `${create} (\`Id\` INT NOT NULL, \`tags\` ARRAY<STRING>) USING DELTA`, repeatable: true });
  expect(await format.columns(spec)).toEqual([
    { name: 'Id', type: { kind: 'integer' }, nullable: false },
    { name: 'tags', type: { kind: 'list', element: { kind: 'string' } }, nullable: true },
  ]);
  await client.run({ sql: `${create} (\`Id\` VARCHAR(3)) USING DELTA`, repeatable: true });
  await expect(format.columns(spec)).rejects.toMatchObject({
    code: 'TargetChanged',
    message: expect.stringContaining('"Id" of bronze.known is of type VARCHAR(3)') as string,
  });
});

it('is a destination when there is a volume, and no source', async () => {
  const { volume: _, ...config } = fake.config();
  const without = createDatabricksConnector(config);
  expect(without.capabilities.destination).toBe(false);
  await expect(without.openDestination(options)).rejects.toMatchObject({
    code: 'ServerUnsuitable',
    message:
      'Connection "lake" is a Databricks workspace without a volume, which can not be the destination of a copy.',
  });
  const connector = createDatabricksConnector(fake.config());
  expect(connector.capabilities).toMatchObject({ destination: true, source: false });
  await expect(connector.openSource(options)).rejects.toMatchObject({ code: 'ServerUnsuitable' });
  await using session = await connector.openDestination(options);
  expect(await session.checkServer({ sessions: 1 })).toEqual([]);
  expect(await session.identity()).toContain('/Volumes/dev/landing/files/longhaul');
});
