import { randomUUID } from 'node:crypto';
import { createTarget } from '../../src/connectors/databricks/check.js';
import { WarehouseClient } from '../../src/connectors/databricks/client.js';
import { createDatabricksConnector } from '../../src/connectors/databricks/index.js';
import { targetOf } from '../../src/connectors/databricks/workspace.js';
import { lakeColumns } from '../../src/connectors/lake/destination/columns.js';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { ColumnShape } from '../../src/core/model.js';
import { FakeDatabricks } from '../support/fake-databricks.js';
import type { Fixture } from './fixture.js';

const COLUMNS: readonly ColumnShape[] = [
  { name: 'id', type: 'integer', definition: 'integer', notNull: true, generated: false },
  { name: 'note', type: 'text', definition: 'text', notNull: false, generated: false },
];

/** A memory source, and a workspace of our own making. */
export async function databricksFixture(): Promise<Fixture & { readonly fake: FakeDatabricks }> {
  const fake = await FakeDatabricks.start(['public']);
  fake.patience = 1_000;
  const name = `source ${randomUUID()}`;
  const source = memoryServer(name);
  const config = fake.config();
  const client = new WarehouseClient(config, new AbortController().signal);
  return {
    fake,
    source: createMemoryConnector({ name: 'source', server: name }),
    destination: createDatabricksConnector(config),
    createSource(from, count) {
      const rows = Array.from({ length: count }, (_, id) => [id, `note ${id}`]);
      source.tables.set(from, { columns: COLUMNS, primaryKey: ['id'], rows });
      return Promise.resolve();
    },
    createTarget: (to) => createTarget(client, targetOf(to, config), columns),
    async visible(to) {
      if (!fake.warehouse.tables.has(`dev.${to}`)) return undefined;
      const { rows } = await fake.warehouse.raw(`SELECT id FROM dev.${to} ORDER BY 1`);
      return rows.map(([id]) => Number(id));
    },
    rejects: () => Promise.resolve([]),
    range: (from, to) => JSON.stringify([from, to]),
    sessions: () => Promise.resolve(0),
    [Symbol.asyncDispose]: () => fake.stop(),
  };
}

const spec = { table: 'x', to: 'x', mode: 'replace', partition: { by: 'auto' } } as const;
const { columns } = lakeColumns(spec, { system: 'memory', columns: COLUMNS, primaryKey: ['id'] }, ['id', 'note']);
