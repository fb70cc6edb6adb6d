import type { DestinationSession, SourceSession } from '../src/connectors/types.js';
import type { DigestForm, Digester, TableDigester } from '../src/connectors/digester.js';
import { addDigested, type Copied, type Digested } from '../src/core/digest.js';
import { LonghaulError } from '../src/core/errors.js';
import type { Partition, TableRecord } from '../src/core/model.js';

/** Receipts read at once. */
const PAGE = 1_000;

/** The check refuses `verify: checksum` for connectors without it; a worker of another version may run the job all the same. */
export function cannotDigest({ spec }: TableRecord): LonghaulError {
  return new LonghaulError('JobInvalid', `The source or destination of ${spec.table} can't digest rows.`, {
    next: 'Use `verify: counts`, or workers of one version.',
  });
}

/** As what a table's rows are digested, and who digests them at the destination. */
export async function openTableDigester(
  destination: DestinationSession,
  record: TableRecord,
): Promise<{ form: DigestForm; digester: TableDigester }> {
  const form = await destination.digestForm?.(record);
  const digester = form && destination.digester?.(record, form);
  if (form === undefined || digester === undefined) throw cannotDigest(record);
  return { form, digester };
}

export function openSourceDigester(source: SourceSession, record: TableRecord, form: DigestForm): Digester {
  const digester = source.digester?.(record, form);
  if (digester === undefined) throw cannotDigest(record);
  return digester;
}

/**
 * The digest of the partition that was just streamed on this session. A query that gives other rows when it is asked again can't be
 * verified, and its count may show it already.
 */
export async function digestStreamed(
  digester: Digester,
  record: TableRecord,
  partition: Partition,
  rows: number,
): Promise<string> {
  const found = await digester.digest(partition);
  if (found.rows === rows) return found.digest;
  throw new LonghaulError(
    'DigestMismatch',
    `Partition ${partition.label} of ${record.spec.table} gave ${rows} rows to the copy and ${found.rows} to its digest, in one transaction; nothing of it was committed.`,
    { next: NOT_REPEATABLE },
  );
}

export const NOT_REPEATABLE =
  'What a query or condition selects must be the same when it is asked twice: no random(), clock_timestamp(), or LIMIT without ORDER BY. Else use `verify: counts`.';

/** What the receipts say was copied, with the digest of all of it if every receipt has one of this form. */
export async function copiedTotals(
  { ledger }: DestinationSession,
  { run, spec }: TableRecord,
  form: string,
  partitions: number,
): Promise<Copied> {
  const parts: Digested[] = [];
  let rows = 0;
  let complete = true;
  for (let from = 0; from < partitions; from += PAGE) {
    const receipts = await ledger.receipts(run, spec.table, from, from + PAGE);
    const committed = receipts.filter(({ state }) => state === 'committed');
    rows += committed.reduce((sum, receipt) => sum + receipt.rows, 0);
    const digests = committed.flatMap(({ digest, rows: counted }) =>
      digest?.startsWith(`${form}:`) ? [{ rows: counted, digest }] : [],
    );
    complete &&= digests.length === committed.length;
    parts.push(addDigested(form, digests));
  }
  return complete ? { rows, digest: addDigested(form, parts).digest } : { rows };
}
