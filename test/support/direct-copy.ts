import type { Connector, SessionOptions } from '../../src/connectors/types.js';
import type { TableSpec } from '../../src/core/model.js';

const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet };
const meter = () => ({ rows: 0, bytes: 0, phase: '' });

/** Copies a table by two connectors alone, without Temporal: opens a run, plans, copies each partition once, publishes. */
export async function copyDirectly(from: Connector, to: Connector, spec: TableSpec): Promise<void> {
  const options: SessionOptions = { signal: new AbortController().signal, log, label: 'interop' };
  const run = `direct-${spec.table}`;
  await using destination = await to.openDestination(options);
  const record = await (async () => {
    await using source = await from.openSource(options);
    const { table } = await source.describe(spec);
    const { format, fingerprint } = await destination.check(spec, table!);
    const { shape, columns } = table!;
    const given = { spec, source: 'source', shape, columns, format: format!, fingerprint: { target: fingerprint } };
    const [opened] = await destination.ledger.openRun({ run, job: run }, [given]);
    await destination.prepare(opened!);
    await destination.ledger.putPlan(opened!, await source.plan(opened!));
    return opened!;
  })();
  const { partitions } = (await destination.ledger.plan(run, spec.table))!;
  for (let ordinal = 0; ordinal < partitions; ordinal++) {
    const partition = await destination.ledger.partition(run, spec.table, ordinal);
    const begun = await destination.begin(record, partition, 1);
    if ('predicateHash' in begun) continue;
    await using writer = begun;
    await using source = await from.openSource(options);
    const stream = await source.stream(record, partition);
    await writer.load(stream, meter());
    await writer.commit(await stream.rows);
  }
  await destination.publish(record, meter());
}
