import { errorFinding } from '../findings.js';
import { LonghaulError } from '../../core/errors.js';
import { openStore } from '../objects/open.js';
import { probeStore } from '../objects/probe.js';
import type { OpenStore } from '../objects/store.js';
import type { Capabilities, Connector, DestinationSession, Finding, SessionOptions } from '../types.js';
import type { LakeConnectionConfig } from './config.js';
import { LAKE_FORMATS } from './destination/check.js';
import type { FileSettings } from './destination/context.js';
import { stagingOf } from './destination/discard.js';
import { LakeDestination } from './destination/index.js';
import { publishingOf } from './destination/publish.js';
import type { TableFormat } from './format.js';
import { LakeLedger, RunCache } from './ledger/index.js';
import { stagingFolder } from './table-path.js';

/** Two attempts at a partition may both write their files; the receipt of one of them counts. */
export const LAKE_CAPABILITIES = {
  ...{ formats: LAKE_FORMATS, source: false, destination: true },
  ...{ publishes: ['table'], rejects: false, attempts: 'raced' },
} as const satisfies Capabilities;

/** How a store's files become tables. */
export type MakeFormat = (store: OpenStore, options: SessionOptions) => TableFormat;

/** A destination in an object store. */
export function createLakeConnector(config: LakeConnectionConfig, makeFormat: MakeFormat): Connector {
  const cache = new RunCache();
  return {
    name: config.name,
    type: config.type,
    capabilities: LAKE_CAPABILITIES,
    openSource: () => Promise.reject(notASource(config)),
    openDestination: (options) => openLake(config, options, makeFormat, cache),
  };
}

async function openLake(
  config: LakeConnectionConfig,
  options: SessionOptions,
  makeFormat: MakeFormat,
  cache: RunCache,
): Promise<DestinationSession> {
  const { name, location } = config;
  const store = await openStore(location, { name, signal: options.signal, log: options.log });
  const endpoint = location.kind === 's3' ? (location.endpoint ?? '') : '';
  return openLakeIn(store, config, options, makeFormat(store, options), cache, {
    identity: `${store.url} ${endpoint}`,
    check: () => checkStore(store, name),
  });
}

/** On a store that is open, which is ended with the session. */
export function openLakeIn(
  store: OpenStore,
  config: FileSettings,
  options: SessionOptions,
  format: TableFormat,
  cache: RunCache,
  place: { readonly identity: string; check(): Promise<Finding[]> },
): LakeDestination {
  const ledger: LakeLedger = new LakeLedger({
    ...{ name: config.name, store, cache },
    targets: {
      settle: (record, epoch, rows, since) => format.settle(publishingOf(ledger, record, { epoch, since }, rows)),
      ...(format.mark && { mark: (spec) => format.mark!(spec) }),
    },
    stagingName: (...of) => stagingFolder(format.ownFolder, ...of),
    stagingOf: (record) => stagingOf(store, record),
  });
  return new LakeDestination({ config, options, store, ledger, format }, place);
}

/** With small objects that are removed again: what was not tried is not known of a store. */
async function checkStore(store: OpenStore, connection: string): Promise<Finding[]> {
  try {
    await probeStore(store, connection);
    return [];
  } catch (error) {
    if (!(error instanceof LonghaulError) || error.code !== 'PermissionDenied') throw error;
    return [errorFinding(error)];
  }
}

function notASource({ name, type }: LakeConnectionConfig): LonghaulError {
  return new LonghaulError('ServerUnsuitable', `Connection "${name}" of type ${type} can not be a source.`);
}
