import { randomUUID } from 'node:crypto';
import { createMemoryConnector, memoryServer, type MemoryServer } from '../../src/connectors/memory/index.js';
import type { ColumnShape } from '../../src/core/model.js';
import type { Fixture } from './fixture.js';
import { connectorContract } from './suite.js';

const COLUMNS: readonly ColumnShape[] = [
  { name: 'id', type: 'integer', definition: 'integer', notNull: true, generated: false },
  { name: 'note', type: 'text', definition: 'text', notNull: false, generated: false },
];

connectorContract('memory', () => Promise.resolve(memoryFixture()));

function memoryFixture(): Fixture {
  const names = { source: `source ${randomUUID()}`, destination: `destination ${randomUUID()}` };
  const [source, destination] = [memoryServer(names.source), memoryServer(names.destination)];
  return {
    source: createMemoryConnector({ name: 'source', server: names.source }),
    destination: createMemoryConnector({ name: 'destination', server: names.destination }),
    createSource: (from, rows) => create(source, from, rows),
    createTarget: (to) => create(destination, to, 0),
    visible: (to) =>
      Promise.resolve(
        destination.tables
          .get(to)
          ?.rows.map(([id]) => id as number)
          .sort((a, b) => a - b),
      ),
    rejects: (run) =>
      Promise.resolve(
        [...(destination.runs.get(run)?.tables.values() ?? [])].flatMap(({ rejects }) =>
          [...rejects].flatMap(([partition, rows]) =>
            rows.map(({ raw, place: { file = null, line } }) => ({ partition, file, line, raw })),
          ),
        ),
      ),
    range: (from, to) => JSON.stringify([from, to]),
    sessions: (label) => Promise.resolve(destination.sessions.filter((open) => open === label).length),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function create(server: MemoryServer, name: string, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, id) => [id, `note ${id}`]);
  server.tables.set(name, { columns: COLUMNS, primaryKey: ['id'], rows });
  return Promise.resolve();
}
