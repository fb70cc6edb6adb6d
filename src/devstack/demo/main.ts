import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { compareTable } from '../compare.js';
import { DevstackError, logToStderr } from '../report.js';
import { conduct, untilInterrupted } from './conduct.js';
import { count, resultTable, tableResults, totals } from './results.js';
import { runJob, WORKFLOW_ID } from './run.js';
import { fillTables, startStack, type DemoStack } from './stack.js';

const HELP = `Usage: npm run demo -- [options]

Copies three tables between two Postgres servers under Temporal, kills the worker on the way, and compares every row.

  --rows N   rows to make, in all (default 3000000)
  --keep     leave the servers up until Ctrl-C, to look around in the web UI
  --json     print one JSON object last
  --help     this text
`;

function farewell(stack: DemoStack, kept: boolean): string {
  const address = `--address ${stack.temporal.address}`;
  return `
${kept ? `Web UI: ${stack.temporal.uiUrl}/namespaces/default/workflows/${WORKFLOW_ID}\n` : 'The servers are down again; --keep leaves them up, with the web UI.\n'}
This run in the terminal${kept ? '' : ' (with --keep)'}:
  npx longhaul temporal workflow describe --workflow-id ${WORKFLOW_ID} ${address}
  npx longhaul temporal workflow query --workflow-id ${WORKFLOW_ID} --name progress ${address}
  npx longhaul temporal workflow show --workflow-id ${WORKFLOW_ID} ${address}

Your own tables:
  npx longhaul init          writes longhaul.yaml, job.yaml and .env.example
  npx longhaul dev           Temporal and a worker, on this machine
  npx longhaul run job.yaml
`;
}

/** Runs the demo on a started stack; answers whether every row arrived once. */
async function demonstrate(
  stack: DemoStack,
  options: { rows: number; keep: boolean; json: boolean },
): Promise<boolean> {
  const began = Date.now();
  logToStderr(`Making ${count(options.rows)} rows in three tables …`);
  await fillTables(stack, options.rows);
  const connection = await Connection.connect({ address: stack.temporal.address });
  logToStderr(`Web UI: ${stack.temporal.uiUrl}`);
  logToStderr('Copying …');
  const { report, workerKills } = await runJob(new Client({ connection }), stack, logToStderr);
  await connection.close();
  logToStderr('Comparing every row of source and destination …');
  const results = await tableResults(report, ({ table, to }) =>
    compareTable(stack.sourceUrl, stack.destinationUrl, table, to),
  );
  const { rows, missing, duplicated } = totals(results);
  const seconds = Math.round((Date.now() - began) / 1000);
  process.stdout.write(
    `${resultTable(results)}\nmissing ${missing}, doubled ${duplicated}, worker killed ${workerKills} time, ${seconds} s in all\n`,
  );
  process.stdout.write(farewell(stack, options.keep));
  if (options.json) {
    const summary = {
      rows,
      missing,
      duplicated,
      workerKills,
      seconds,
      workflowId: WORKFLOW_ID,
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
  }
  return missing === 0 && duplicated === 0;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '3000000' },
      keep: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const rows = Number(values.rows);
  if (!Number.isInteger(rows) || rows < 1000) throw new DevstackError('--rows takes a whole number, at least 1000.');
  logToStderr('Starting two Postgres servers and Temporal …');
  const stack = await startStack(resolve('.longhaul/demo'), logToStderr);
  try {
    process.exitCode = (await demonstrate(stack, { ...values, rows })) ? 0 : 1;
    if (values.keep) {
      logToStderr('\nThe servers stay up. Ctrl-C ends them.');
      await untilInterrupted();
    }
  } finally {
    await stack.stop();
  }
}

conduct(main);
