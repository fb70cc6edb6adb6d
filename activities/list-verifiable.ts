import type { LonghaulActivities, Verifiable, VerifiableTable } from '../src/core/activities.js';
import { LonghaulError } from '../src/core/errors.js';
import type { TableRecord } from '../src/core/model.js';
import { didYouMean } from '../src/core/suggest.js';
import type { DestinationSession } from '../src/connectors/types.js';
import { attempt } from './attempt.js';
import { connectorOf, unknownConnection, type Dependencies } from './dependencies.js';
import { openTableDigester } from './digests.js';
import { digestOf } from './sessions.js';

type Input = Parameters<LonghaulActivities['listVerifiable']>[0];

/** What of a run can be verified, by its ledger. */
export function listVerifiable(deps: Dependencies, input: Input): Promise<Verifiable> {
  return attempt(deps, {}, async (running) => {
    // A person's word, which may be wrong: not waited for, as the connection of a job that was checked is.
    if (!deps.connectors.has(input.destination)) {
      const next = 'Name a connection of longhaul.yaml.';
      const message = `${unknownConnection(input.destination, deps.connectors.keys())} on the worker.`;
      throw new LonghaulError('JobInvalid', message, { next });
    }
    await using session = await connectorOf(deps, input.destination).openDestination(running.session());
    running.meter.phase = 'reading the ledger';
    const tables: VerifiableTable[] = [];
    const records = chosen(await session.ledger.tables(input.run), input);
    await refuseForgotten(session, input);
    const destination = await digestOf(session);
    for (const record of records)
      tables.push({ ...(await describe(session, record)), ...serversIn(record, destination) });
    const { differencesTable: differences } = session.ledger;
    return { tables, ...(differences !== undefined && { differences }) };
  });
}

async function refuseForgotten({ ledger }: DestinationSession, { run, destination }: Input): Promise<void> {
  const [found] = await ledger.runs({ run });
  if (found?.forgottenAt === undefined) return;
  const message = `Run ${run} can't be verified: its plan and receipts were cleaned away from the ledger of connection "${destination}" on ${found.forgottenAt.slice(0, 10)}. Nothing was compared.`;
  throw new LonghaulError('JobInvalid', message, {
    next: `Copy the tables anew, or verify a later run: longhaul ls --destination ${destination}`,
  });
}

function chosen(records: readonly TableRecord[], { run, destination, tables }: Input): readonly TableRecord[] {
  if (records.length === 0) {
    const next = `The runs there are: longhaul ls --destination ${destination}`;
    throw new LonghaulError('JobInvalid', `The ledger of connection "${destination}" knows no run ${run}.`, { next });
  }
  if (tables === undefined) return records;
  const names = records.map(({ spec }) => spec.table);
  const unknown = tables.find((table) => !names.includes(table));
  if (unknown === undefined) return records.filter(({ spec }) => tables.includes(spec.table));
  const near = didYouMean(unknown, names);
  const hint = near === undefined ? '' : ` Did you mean ${JSON.stringify(near)}?`;
  throw new LonghaulError('JobInvalid', `Run ${run} has no table ${JSON.stringify(unknown)}.${hint}`);
}

/** The databases that the run was opened with, as `serversOf` tells them: the fingerprint has the source's, and the ledger is here. */
function serversIn({ fingerprint }: TableRecord, destination: string): Pick<VerifiableTable, 'servers'> {
  const { source } = fingerprint;
  return source === undefined ? {} : { servers: { source, destination } };
}

async function describe(session: DestinationSession, record: TableRecord): Promise<VerifiableTable> {
  const { run, spec, source, state } = record;
  const { table, to, mode } = spec;
  const partitions = (await session.ledger.plan(run, table))?.partitions ?? 0;
  const head = { table, to, mode, source, state, partitions };
  if (state !== 'published' || partitions === 0) return head;
  const { digester } = await openTableDigester(session, record);
  const read = (ordinal: number) => session.ledger.partition(run, table, ordinal);
  const undivided = digester.undivided(await read(0), await read(partitions - 1));
  return undivided === undefined ? head : { ...head, undivided };
}
