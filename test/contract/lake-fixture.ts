import { randomUUID } from 'node:crypto';
import { createMemoryConnector, memoryServer } from '../../src/connectors/memory/index.js';
import type { ObjectStore } from '../../src/connectors/objects/store.js';
import type { ColumnShape } from '../../src/core/model.js';
import { JsonLake, jsonLakeConnector } from '../support/json-lake.js';
import { MemoryObjects } from '../support/memory-store.js';
import type { Fixture } from './fixture.js';

const COLUMNS: readonly ColumnShape[] = [
  { name: 'id', type: 'integer', definition: 'integer', notNull: true, generated: false },
  { name: 'note', type: 'text', definition: 'text', notNull: false, generated: false },
];

/** A memory source, and the ledger of a lake around which a destination of the least code puts rows as JSON. */
export function lakeFixture(open = storesOf(new MemoryObjects())): Fixture {
  const name = `source ${randomUUID()}`;
  const source = memoryServer(name);
  const lake = new JsonLake(open);
  return {
    source: createMemoryConnector({ name: 'source', server: name }),
    destination: jsonLakeConnector('lake', lake),
    createSource(from, count) {
      const rows = Array.from({ length: count }, (_, id) => [id, `note ${id}`]);
      source.tables.set(from, { columns: COLUMNS, primaryKey: ['id'], rows });
      return Promise.resolve();
    },
    createTarget: (to) => lake.create(to),
    visible: (to) => lake.visible(to),
    rejects: () => Promise.resolve([]),
    range: (from, to) => JSON.stringify([from, to]),
    // A store has no sessions that could be left.
    sessions: () => Promise.resolve(0),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function storesOf(objects: MemoryObjects): (signal: AbortSignal) => ObjectStore {
  return (signal) => objects.store(signal);
}
