import { jobInvalid } from '../../core/errors.js';
import type { Partition, TableRecord, TableSpec } from '../../core/model.js';
import { findingToProblem } from '../findings.js';
import type { Gate, Leave } from '../gate.js';
import { shortHash } from '../hash.js';
import { planQueries } from '../queries.js';
import { redactor } from '../redact.js';
import type { Demand, Finding, PlanInput, SessionOptions, SourceSession, SourceStream, SourceTable } from '../types.js';
import { AttemptFolder, attemptPath } from './attempt-folder.js';
import { Chatter } from './chatter.js';
import { checkProgram, describeQueries, noTables, whyNot } from './check.js';
import type { CommandConnectionConfig } from './config.js';
import { noFolder, type Subject } from './errors.js';
import { Program } from './program.js';
import { entrust, type Ward } from './reaper.js';
import { PARENTS, removeAttempt } from './remove.js';
import { requestFor, type Request } from './request.js';
import { openStream } from './stream.js';
import { defaultTmpDir, tmpRoot } from './tmp-root.js';

/** What one attempt has of this machine, until its session is disposed of. */
interface Holding {
  readonly folder: AttemptFolder;
  readonly ward: Ward;
  /** What is in its request. */
  readonly request: Request;
  program?: Program;
}

/** One process at most: a stream's. */
export class CommandSource implements SourceSession {
  #leave: Leave | undefined;
  #holding: Holding | undefined;

  constructor(
    private readonly config: CommandConnectionConfig,
    private readonly gate: Gate,
    private readonly options: SessionOptions,
  ) {}

  /** The program and its arguments are the system: the same on all workers that are configured alike. */
  identity(): Promise<string> {
    const { name, run, writtenCwd = '.' } = this.config;
    return Promise.resolve(`command/${shortHash(name, ...run, writtenCwd)}`);
  }

  checkServer(demand: Demand): Promise<Finding[]> {
    return checkProgram(this.config, demand);
  }

  expand(_pattern: string): Promise<string[]> {
    return Promise.reject(jobInvalid([findingToProblem('tables', noTables(this.config))]));
  }

  async describe(spec: TableSpec): Promise<{ table?: SourceTable; findings: Finding[] }> {
    return describeQueries(this.config, spec, await this.identity());
  }

  plan({ spec }: TableRecord): Promise<PlanInput> {
    return Promise.resolve(planQueries(spec.queries ?? []));
  }

  async admitted(): Promise<void> {
    this.#leave ??= await this.gate.enterAtLast(this.options.signal);
  }

  async stream(record: TableRecord, partition: Partition): Promise<SourceStream> {
    await this.admitted();
    const { config } = this;
    const { signal, meter } = this.options;
    const subject = { connection: config.name, query: partition.label, table: record.spec.table };
    const holding = await this.#settle(record, partition);
    const program = await this.#start(holding, subject);
    return openStream(record, { config, subject, folder: holding.folder, program, signal, meter });
  }

  /** A folder of the attempt's own, of which the reaper knows before it is there, with the request in it. */
  async #settle(record: TableRecord, partition: Partition): Promise<Holding> {
    const { config } = this;
    const { attempt = 1, log } = this.options;
    const names = { run: record.run, table: record.spec.table, query: partition.label, attempt };
    try {
      const folder = new AttemptFolder(attemptPath(await tmpRoot(config.tmpDir, log), names), config.output);
      const request = requestFor(config, record, partition, { attempt, folder });
      this.#holding = { folder, request, ward: entrust(this.#charge(folder)) };
      await folder.make(JSON.stringify(request));
      return this.#holding;
    } catch (error) {
      throw noFolder(config.name, whyNot(config.tmpDir ?? defaultTmpDir(), error));
    }
  }

  #charge({ path }: AttemptFolder) {
    return { path, parents: PARENTS, graceMs: this.config.stopGrace };
  }

  async #start(holding: Holding, subject: Subject): Promise<Program> {
    const { config } = this;
    const { signal, log } = this.options;
    const { folder, ward, request } = holding;
    const fields = { connection: subject.connection, query: subject.query };
    const chatter = new Chatter({ log, fields, redact: redactor(Object.values(config.env), request.query) });
    signal.throwIfAborted();
    holding.program = await Program.start({ config, subject, folder, request, chatter, signal }, (group) =>
      ward.update({ ...this.#charge(folder), group }),
    );
    return holding.program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#letGo();
    } finally {
      this.#leave?.();
    }
  }

  async #letGo(): Promise<void> {
    if (this.#holding === undefined) return;
    const { folder, ward, program } = this.#holding;
    this.#holding = undefined;
    await program?.end();
    ward.update(this.#charge(folder));
    try {
      await removeAttempt(folder.path);
      ward.release();
    } catch (error) {
      // What is copied is copied: the reaper tries again when this worker ends.
      this.options.log.warn({ connection: this.config.name, reason: whyNot(folder.path, error) }, 'A folder is left');
    }
  }
}
