import assert from 'node:assert/strict';
import type { SourceDefinition } from '../connectors/module/define.js';
import { createModuleConnector, type ModuleConnectionConfig } from '../connectors/module/index.js';
import type { Connector } from '../connectors/types.js';
import { LonghaulError } from '../core/errors.js';
import type { QuerySpec, TableSpec } from '../core/model.js';
import { Probe, type Check } from './source-checks.js';

/** What a module keeps beyond what every source does. */

export function closesEachSession(
  config: ModuleConnectionConfig,
  load: () => Promise<SourceDefinition>,
  spec: TableSpec,
): Check {
  return {
    name: 'opens a session of its own for each attempt',
    run: async () => {
      const sessions: unknown[] = [];
      const watched = async (): Promise<SourceDefinition> => {
        const source = await load();
        const open: SourceDefinition['open'] = async (context) => {
          const session = await source.open(context);
          sessions.push(session);
          return session;
        };
        return Object.assign(Object.create(source) as SourceDefinition, { open });
      };
      await using probe = new Probe({ connector: createModuleConnector(config, watched), spec });
      await probe.described();
      await probe.described();
      const objects = sessions.filter((session) => typeof session === 'object' && session !== null);
      assert.equal(new Set(objects).size, objects.length, 'two attempts got the same session');
    },
  };
}

export function tellsRetryFromRefusal(connector: Connector, spec: TableSpec, { id, sql }: QuerySpec): Check {
  return {
    name: 'says of a wrong query whether trying again can help',
    run: async () => {
      await using probe = new Probe({ connector, spec });
      const error = await probe.errorOf({ ordinal: 0, label: id, predicate: sql });
      assert.ok(error instanceof LonghaulError && error.cause === undefined, 'throw a RetryableError or a FatalError');
    },
  };
}
