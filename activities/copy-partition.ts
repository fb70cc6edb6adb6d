import type { PartitionRef, PartitionResult } from '../src/core/activities.js';
import { reach } from '../src/core/fail-points.js';
import type { Partition, Receipt, TableRecord } from '../src/core/model.js';
import type { DigestForm } from '../src/connectors/digester.js';
import type { DestinationSession, PartitionWriter, SourceStream } from '../src/connectors/types.js';
import type { Attempt } from './attempt.js';
import { attemptPartition, resultOf } from './attempt-partition.js';
import type { Dependencies } from './dependencies.js';
import { cannotDigest, digestStreamed, openSourceDigester } from './digests.js';
import { openDestination, openSource } from './sessions.js';

/** One attempt at one partition: its rows and their receipt become durable together, or nothing does. */
export function copyPartition(deps: Dependencies, input: PartitionRef): Promise<PartitionResult> {
  return attemptPartition(deps, input, async (running) => {
    const since = Date.now();
    const { receipt, found } = await load(deps, input, running);
    await reach('copy: before answer');
    const result = resultOf(receipt, running, { found, since });
    running.log.info({ ...result }, found ? `Partition was ${receipt.state} already` : 'Partition committed');
    return result;
  });
}

interface Loaded {
  readonly receipt: Receipt;
  /** Committed by an earlier attempt whose answer was lost, or skipped. */
  readonly found: boolean;
}

async function load(deps: Dependencies, input: PartitionRef, running: Attempt): Promise<Loaded> {
  await using destination = await openDestination(deps, input, running);
  const record = await destination.ledger.table(input.run, input.table);
  const partition = await destination.ledger.partition(input.run, input.table, input.ordinal);
  const form = await formOf(destination, record);
  running.meter.partition = partition.label;
  const begun = await destination.begin(record, partition, running.number);
  if ('predicateHash' in begun) return { receipt: begun, found: true };
  await using writer = begun;
  const receipt = await copy(deps, input, running, { record, partition, writer, form });
  return { receipt, found: false };
}

/** Present when the rows are to be digested too. */
async function formOf(destination: DestinationSession, record: TableRecord): Promise<DigestForm | undefined> {
  if (record.spec.verify !== 'checksum') return undefined;
  if (destination.digestForm === undefined) throw cannotDigest(record);
  return destination.digestForm(record);
}

interface Work {
  readonly record: TableRecord;
  readonly partition: Partition;
  readonly writer: PartitionWriter;
  readonly form: DigestForm | undefined;
}

/** The rows that the source counted are committed; that the destination loaded as many is the writer's to check. */
async function copy(deps: Dependencies, input: PartitionRef, running: Attempt, work: Work): Promise<Receipt> {
  const { record, partition, writer, form } = work;
  await using source = await openSource(deps, input, running);
  await reach('copy: after sessions');
  running.meter.phase = 'waiting';
  await source.admitted?.();
  running.meter.phase = 'reading';
  const rows = await loadAll(source.stream(record, partition), input, running, writer);
  // In the source's transaction, of the same rows; the destination's waits.
  if (form !== undefined) running.meter.phase = 'digesting';
  const digest = form && (await digestStreamed(openSourceDigester(source, record, form), record, partition, rows));
  if (form !== undefined) await reach('copy: after digest');
  // Bounded by neither stallTimeout nor the server's timeouts, which are 0: deferred constraints take what they take, and a
  // synchronous standby may be awaited. It doesn't hang in silence: a server that is gone ends the connection (TCP keepalive, see
  // the connector), a dead worker misses its heartbeats, attemptTimeout bounds the whole, and the heartbeat says `committing`.
  running.meter.phase = 'committing';
  return await writer.commit(rows, digest);
}

async function loadAll(
  opened: Promise<SourceStream>,
  limits: PartitionRef,
  running: Attempt,
  writer: PartitionWriter,
): Promise<number> {
  using _watch = running.watchBytes(limits);
  const stream = await opened;
  // Rejects when the stream breaks, which `load` says too: heard here so that it is never unhandled.
  stream.rows.catch(() => undefined);
  await reach('copy: before COPY');
  await writer.load(stream, running.meter);
  const rows = await stream.rows;
  await reach('copy: after counts');
  return rows;
}
