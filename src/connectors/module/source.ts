import { jobInvalid, LonghaulError, type ErrorCode } from '../../core/errors.js';
import type { Partition, TableRecord, TableSpec } from '../../core/model.js';
import { planQueries } from '../queries.js';
import { rowStream } from '../rows/row-stream.js';
import type { Finding, PlanInput, RowStream, SessionOptions, SourceSession, SourceTable } from '../types.js';
import { errorFinding } from '../findings.js';
import type { ModuleConnectionConfig } from './config.js';
import type { SourceDefinition, TableDescription, TableRequest } from './define.js';
import { checkedDescription, describedTable, entryFindings } from './describe.js';
import { planModule } from './plan.js';
import { batchesOf } from './rows.js';
import { ModuleSession, type Opened } from './session.js';

const FOR_A_PERSON: readonly ErrorCode[] = ['SourceRefused', 'ConnectionFailed'];

/** Reads what a module gives. The module's session is opened by the first who needs it, and closed with this one. */
export class ModuleSource implements SourceSession {
  readonly #session: ModuleSession;
  /** `checkServer` has said that there is no session to be had. */
  #toldUnusable = false;

  constructor(
    private readonly config: ModuleConnectionConfig,
    options: SessionOptions,
    load: () => Promise<SourceDefinition>,
  ) {
    this.#session = new ModuleSession(config, options, load);
  }

  /** A module doesn't say where it leads: workers of one task queue have the same longhaul.yaml. */
  identity(): Promise<string> {
    return Promise.resolve(`module/${this.config.name}`);
  }

  /** Loads the module and signs in. */
  async checkServer(): Promise<Finding[]> {
    const opened = await this.#orFinding(() => this.#session.opened());
    this.#toldUnusable = opened.finding !== undefined;
    return opened.finding === undefined ? [] : [opened.finding];
  }

  expand(pattern: string): Promise<string[]> {
    const message = `connection "${this.config.name}" can't list tables, as ${pattern} needs it: a module has no catalog`;
    return Promise.reject(jobInvalid([{ path: 'tables', message, fix: 'name each table' }]));
  }

  async describe(spec: TableSpec): Promise<{ table?: SourceTable; findings: Finding[] }> {
    if (this.#toldUnusable) return { findings: [] };
    const asked = await this.#orFinding(async () => {
      const opened = await this.#session.opened();
      return { opened, told: await this.#describe(opened, spec) };
    });
    if (asked.finding !== undefined) return { findings: [asked.finding] };
    const { opened, told } = asked.value;
    const { described, findings: wrong } = describedTable(spec, told);
    const findings = [...entryFindings(spec, opened.source, this.config.written), ...wrong];
    if (findings.length > 0) return { findings };
    return { table: { ...described, formats: ['rows'], identity: await this.identity() }, findings };
  }

  async #describe({ source, session }: Opened, spec: TableSpec): Promise<TableDescription | undefined> {
    if (source.describe === undefined) return undefined;
    const doing = { what: `Describing table ${spec.table} of connection "${this.config.name}"` };
    const told = await this.#session.ask(doing, () => source.describe!(session, requestOf(spec)));
    return checkedDescription(told, this.config.written, spec.table);
  }

  async plan(record: TableRecord): Promise<PlanInput> {
    const { queries, table } = record.spec;
    if (queries !== undefined) return planQueries(queries);
    const { source, session } = await this.#session.opened();
    const doing = { what: `Planning table ${table} of connection "${this.config.name}"` };
    const planned = await this.#session.ask(doing, () => source.plan?.(session, requestOf(record.spec)));
    return planModule(this.#session.pull(doing, this.#iterable(planned, 'plan')), this.config.written, table);
  }

  async stream(record: TableRecord, partition: Partition): Promise<RowStream> {
    const { source, session } = await this.#session.opened();
    const { label: id, predicate: query } = partition;
    const doing = { what: `Query ${id} of connection "${this.config.name}"`, query };
    const rows = await this.#session.ask(doing, () =>
      source.stream(session, {
        ...{ table: tableOf(record.spec), id, query },
        ...{ columns: record.columns, signal: this.#session.signal },
      }),
    );
    const items = this.#session.pull(doing, this.#iterable(rows, 'stream'));
    return rowStream(record.columns, batchesOf(items, record.columns));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }

  /** What a person has to mend is a finding. */
  async #orFinding<T>(work: () => Promise<T>): Promise<{ value: T; finding?: never } | { finding: Finding }> {
    try {
      return { value: await work() };
    } catch (error) {
      if (!(error instanceof LonghaulError) || !FOR_A_PERSON.includes(error.code)) throw error;
      return { finding: errorFinding(error) };
    }
  }

  #iterable<T>(given: T | undefined, of: 'plan' | 'stream'): T & (Iterable<unknown> | AsyncIterable<unknown>) {
    if (typeof given === 'object' && given !== null && (Symbol.asyncIterator in given || Symbol.iterator in given)) {
      return given as never;
    }
    throw new LonghaulError('SourceRefused', `${of} of ${this.config.written} answered with nothing to iterate.`, {
      next: `Write it as async *${of}(…) { … yield … }, and restart the workers.`,
    });
  }
}

function requestOf(spec: TableSpec): TableRequest {
  const columns = spec.declared?.map(({ name }) => name) ?? spec.columns;
  return {
    table: tableOf(spec),
    ...(spec.queries !== undefined && { queries: spec.queries }),
    ...(columns !== undefined && { columns }),
  };
}

/** A module has no schemas, and `public` is where a name without one belongs. */
function tableOf({ table }: TableSpec): string {
  return table.replace(/^public\./, '');
}
