import { execFile } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { conduct, untilInterrupted } from '../demo/conduct.js';
import { count, resultTable } from '../demo/results.js';
import { execute } from '../demo/sql.js';
import { startPostgres } from '../postgres.js';
import { removePostgresData } from '../postgres-data.js';
import { DevstackError, logToStderr } from '../report.js';
import { startTemporalServer, type TemporalServer } from '../temporal-server.js';
import { play, WORKFLOW_ID, type Outcome } from './play.js';
import { setStage, type Scale } from './stage.js';

const HELP = `Usage: npm run example:homegrown -- [options]

Runs examples/homegrown: three tables out of a Python library that fails at random, by the queries of a control table.
The worker is killed on the way, and every row is compared afterwards.

  --queries N        queries of each table (default 100)
  --rows N           rows of each query (default 1000)
  --failure-rate X   part of the library's sessions that fail, 0 to 0.9 (default 0.15)
  --to lake          copy into Delta tables in a folder, instead of Postgres
  --files            let the library write files, where it else streams its rows
  --keep             leave the servers up until Ctrl-C, to look around in the web UI
  --json             print one JSON object last
  --help             this text
`;

/** The library's, in seconds. */
const LATENCY = 0.2;

/** The number of an option. */
function numberOf(option: string, given: string, least: number, most: number, whole = true): number {
  const value = Number(given);
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  throw new DevstackError(`--${option} takes a ${whole ? 'whole ' : ''}number, ${least} to ${most}.`);
}

function targetOf(given: string): Scale['to'] {
  if (given === 'warehouse' || given === 'lake') return given;
  throw new DevstackError('--to takes warehouse or lake.');
}

async function needPython(): Promise<void> {
  const check = 'import sys; sys.exit(sys.version_info < (3, 8))';
  await promisify(execFile)('python3', ['-c', check]).catch(() => {
    throw new DevstackError(
      'The example needs python3 on the PATH, version 3.8 or later: its library is written in Python.',
    );
  });
}

function troubleText(troubles: Outcome['troubles']): string {
  const all = [...troubles.values()].reduce((sum, times) => sum + times, 0);
  const kinds = [...troubles].sort().map(([way, times]) => `${way} ${times}`);
  return all === 0 ? 'no session of the library failed' : `${all} sessions of the library failed (${kinds.join(', ')})`;
}

function printOutcome(outcome: Outcome, seconds: number): void {
  const { missing, duplicated, retries, parked, completed, queries, troubles } = outcome;
  process.stdout.write(
    `${resultTable(outcome.tables)}\n` +
      `missing ${missing}, doubled ${duplicated}, worker killed 1 time, ${troubleText(troubles)}, ${seconds} s in all\n` +
      `_extract: ${count(completed)} of ${count(queries)} completed; ${count(retries)} retries, ${count(parked)} parked\n`,
  );
}

function farewell({ address, uiUrl }: TemporalServer, kept: boolean): string {
  return `
${kept ? `Web UI: ${uiUrl}/namespaces/default/workflows/${WORKFLOW_ID}\n` : 'The servers are down again; --keep leaves them up, with the web UI.\n'}
This run in the terminal${kept ? '' : ' (with --keep)'}:
  TEMPORAL_ADDRESS=${address} npx longhaul status ${WORKFLOW_ID}
  npx longhaul temporal workflow describe --workflow-id ${WORKFLOW_ID} --address ${address}

Your own library in its place: examples/homegrown/README.md
`;
}

interface Options {
  readonly keep: boolean;
  readonly json: boolean;
}

/** Answers whether every row arrived once. */
async function perform(dir: string, scale: Scale, options: Options): Promise<boolean> {
  const began = Date.now();
  logToStderr('Starting Postgres and Temporal …');
  const [postgres, temporal] = await Promise.all([
    startPostgres({ dataDir: join(dir, 'postgres') }),
    startTemporalServer({ dbFile: join(dir, 'temporal.db') }),
  ]);
  await execute(postgres.url(), ['CREATE DATABASE control', 'CREATE DATABASE warehouse']);
  const stage = await setStage({ postgresUrl: postgres.url, temporalAddress: temporal.address }, dir, scale);
  logToStderr(`Web UI: ${temporal.uiUrl}\nCopying the ${count(3 * scale.queries)} queries of three tables …`);
  const outcome = await play(stage, temporal.address, logToStderr);
  printOutcome(outcome, Math.round((Date.now() - began) / 1000));
  process.stdout.write(farewell(temporal, options.keep));
  if (options.json) process.stdout.write(`${summaryOf(outcome)}\n`);
  if (options.keep) {
    logToStderr('\nThe servers stay up. Ctrl-C ends them.');
    await untilInterrupted();
  }
  await stage.workers.stop();
  await Promise.all([temporal.stop(), postgres.stop()]);
  return outcome.missing + outcome.duplicated + outcome.parked === 0;
}

function summaryOf({ tables: _, troubles, ...numbers }: Outcome): string {
  return JSON.stringify({
    ...numbers,
    failures: Object.fromEntries(troubles),
    workerKills: 1,
    workflowId: WORKFLOW_ID,
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      queries: { type: 'string', default: '100' },
      rows: { type: 'string', default: '1000' },
      'failure-rate': { type: 'string', default: '0.15' },
      to: { type: 'string', default: 'warehouse' },
      files: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const scale: Scale = {
    to: targetOf(values.to),
    source: values.files ? 'erp_files' : 'erp',
    queries: numberOf('queries', values.queries, 8, 10_000),
    rowsEach: numberOf('rows', values.rows, 100, 1_000_000),
    failureRate: numberOf('failure-rate', values['failure-rate'], 0, 0.9, false),
    latency: LATENCY,
  };
  await needPython();
  const dir = resolve('.longhaul/homegrown');
  await removeData(dir);
  await mkdir(dir, { recursive: true });
  process.exitCode = (await perform(dir, scale, values)) ? 0 : 1;
  await removeData(dir);
}

/** Also removes data that Postgres keeps elsewhere because its account may not enter `dir`. */
async function removeData(dir: string): Promise<void> {
  await removePostgresData(join(dir, 'postgres'));
  await rm(dir, { recursive: true, force: true });
}

conduct(main);
