import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { LonghaulError } from '../core/errors.js';
import type { Partition, QuerySpec, TableRecord, TableSpec } from '../core/model.js';
import type { Connector, RowBatch, SessionOptions, SourceSession, SourceTable } from '../connectors/types.js';

/** One thing that a source has to keep. `run` rejects when it doesn't. */
export interface Check {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** A connection and one table of it. */
export interface Subject {
  readonly connector: Connector;
  readonly spec: TableSpec;
  readonly wrongQuery?: QuerySpec;
}

/** Partitions that are read: enough to see a source at work, and not all of a large one. */
const READ = 3;

/** What a source of any type keeps. */
export function sourceChecks(subject: Subject): Check[] {
  const { wrongQuery } = subject;
  const check = (name: string, run: (probe: Probe) => Promise<void>): Check => ({
    name,
    run: async () => {
      await using probe = new Probe(subject);
      await run(probe);
    },
  });
  return [
    check('tells the same of a table each time', async (probe) => {
      assert.deepEqual(await probe.described(), await probe.described());
    }),
    check('cuts a table the same each time', async (probe) => {
      const partitions = await probe.partitions();
      assert.ok(partitions.length > 0, 'there is no partition');
      assert.deepEqual(await probe.partitions(), partitions);
    }),
    check('gives the same number of rows each time', async (probe) => {
      for (const partition of (await probe.partitions()).slice(0, READ)) {
        assert.equal(await probe.count(partition), await probe.count(partition), partition.label);
      }
    }),
    check('gives only rows that can be written exactly', async (probe) => {
      for (const partition of (await probe.partitions()).slice(0, READ)) await probe.count(partition);
    }),
    check('reads in two sessions at once, of which one ends early', readsInTwo),
    check('ends soon when it is aborted, and closes its session', endsWhenAborted),
    ...(wrongQuery === undefined ? [] : [check('refuses a wrong query', (probe) => refuses(probe, wrongQuery))]),
  ];
}

async function readsInTwo(probe: Probe): Promise<void> {
  const [partition] = await probe.partitions();
  const rows = await probe.count(partition!);
  const [one, two] = [await probe.open(), await probe.open()];
  const [first, second] = [await probe.stream(one, partition!), await probe.stream(two, partition!)];
  const iterator = first[Symbol.asyncIterator]();
  await iterator.next();
  await iterator.return?.();
  await one[Symbol.asyncDispose]();
  assert.equal(await counted(second), rows, 'the end of one session changed what the other one read');
}

async function endsWhenAborted(probe: Probe): Promise<void> {
  const [partition] = await probe.partitions();
  const abort = new AbortController();
  const session = await probe.open(abort.signal);
  const stream = await probe.stream(session, partition!);
  stream.rows.catch(() => undefined);
  const iterator = stream[Symbol.asyncIterator]();
  const first = await iterator.next();
  assert.equal(first.done, false, 'the first partition has no row: let it be one that has some');
  // While it reads on, if there is more.
  const ended = endOf(iterator);
  await setImmediate();
  const reason = new Error('aborted by a check');
  abort.abort(reason);
  const end = await ended;
  assert.ok(end === 'done' || end === reason, 'it did not end with the reason of the abort');
  await session[Symbol.asyncDispose]();
  assert.deepEqual(probe.warnings, [], 'it did not end by itself');
}

/** Reads on; answers with the error that ended it. */
async function endOf(iterator: AsyncIterator<unknown>): Promise<unknown> {
  try {
    while ((await iterator.next()).done !== true);
    return 'done';
  } catch (error) {
    return error;
  }
}

async function refuses(probe: Probe, { id, sql }: QuerySpec): Promise<void> {
  const error = await probe.errorOf({ ordinal: 0, label: id, predicate: sql });
  assert.ok(error instanceof LonghaulError, 'the wrong query was answered, and not refused');
}

/** A subject under check: its sessions end with it. */
export class Probe implements AsyncDisposable {
  /** What was logged as a warning. */
  readonly warnings: string[] = [];
  readonly #sessions: AsyncDisposable[] = [];
  #known: Promise<TableRecord> | undefined;

  constructor(private readonly subject: Subject) {}

  async open(signal: AbortSignal = new AbortController().signal): Promise<SourceSession> {
    const warn = (_: Record<string, unknown>, message: string) => void this.warnings.push(message);
    const log = { debug: () => undefined, info: () => undefined, warn };
    const options: SessionOptions = { signal, log, label: 'contract', attempt: 1 };
    const session = await this.subject.connector.openSource(options);
    this.#sessions.push(session);
    return session;
  }

  async described(): Promise<SourceTable> {
    const session = await this.open();
    const findings = [...(await session.checkServer({ sessions: 2 }))];
    const described = await session.describe(this.subject.spec);
    findings.push(...described.findings);
    assert.deepEqual(
      findings.filter(({ severity }) => severity === 'problem'),
      [],
    );
    assert.ok(described.table, 'the table was not described');
    assert.ok(!described.table.inferred, 'nobody says which columns there are: give columns, or describe');
    return described.table;
  }

  async partitions(): Promise<Partition[]> {
    const session = await this.open();
    const partitions: Partition[] = [];
    for await (const partition of (await session.plan(await this.#record())).partitions) partitions.push(partition);
    return partitions;
  }

  async stream(session: SourceSession, partition: Partition) {
    return session.stream(await this.#record(), partition);
  }

  /** Rows of a partition, read in a session of their own. */
  async count(partition: Partition): Promise<number> {
    await using session = await this.open();
    return await counted(await this.stream(session, partition));
  }

  async errorOf(partition: Partition): Promise<unknown> {
    try {
      await this.count(partition);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) await session[Symbol.asyncDispose]();
  }

  #record(): Promise<TableRecord> {
    return (this.#known ??= this.#describe());
  }

  async #describe(): Promise<TableRecord> {
    const { shape, columns, formats } = await this.described();
    const { spec, connector } = this.subject;
    const fixed = { run: 'contract', fingerprint: {}, staging: '', state: 'open' } as const;
    return { ...fixed, spec, shape, columns, format: formats[0]!, source: connector.name };
  }
}

/** Reads a stream to its end; its own count must be that of what came. */
async function counted(stream: Awaited<ReturnType<SourceSession['stream']>>): Promise<number> {
  stream.rows.catch(() => undefined);
  let rows = 0;
  for await (const piece of stream) if (stream.kind === 'rows') rows += exactRows(piece as RowBatch);
  const told = await stream.rows;
  if (stream.kind === 'rows') assert.equal(rows, told, 'it gave another number of rows than it counted');
  return told;
}

function exactRows({ rows, malformed = [] }: RowBatch): number {
  const [first] = malformed;
  if (first !== undefined) assert.fail(`row ${first.place.line}: ${first.error}`);
  return rows.length;
}
