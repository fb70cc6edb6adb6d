import { expect, test } from 'vitest';
import { CommanderError } from 'commander';
import { explain } from '../../src/cli/errors.js';
import { summaryOf } from '../../src/cli/commands/run.js';
import { makeContext } from '../../src/cli/context.js';
import { buildProgram, shieldTemporalArguments } from '../../src/cli/program.js';
import { jobInvalid } from '../../src/core/errors.js';
import { parseJob } from '../../src/config/index.js';

/** What the command line prints, and whether commander refused it. */
async function parse(...args: string[]): Promise<{ text: string; refused: boolean }> {
  let text = '';
  const program = buildProgram(() => undefined);
  const output = { writeOut: (more: string) => void (text += more), writeErr: (more: string) => void (text += more) };
  for (const command of [program, ...program.commands]) command.configureOutput(output).exitOverride();
  try {
    await program.parseAsync(args, { from: 'user' });
    return { text, refused: false };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { text, refused: error.exitCode !== 0 };
  }
}

const COMMANDS = [
  'init',
  'schema',
  'check',
  'run',
  'watch',
  'status',
  'retry',
  'skip',
  'set-parallelism',
  'cancel',
  'ls',
  'verify',
  'clean',
  'dev',
  'worker',
];

test('the help fits 80 columns, names every command, and tells a newcomer what to do', async () => {
  const { text } = await parse('--help');
  for (const command of [...COMMANDS, 'temporal']) expect(text).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
  expect(text).toContain('New here?\n  longhaul init');
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});

test.each(COMMANDS)('the help of %s has an example', async (command) => {
  const { text } = await parse(command, '--help');
  expect(text).toContain(`Example:\n  longhaul ${command}`);
});

test.each([[['watch']], [['copy']], [['run', 'a.yaml', '--paralelism', '3']], [['dev', '--port', '70000']]])(
  '%j is refused',
  async (args) => {
    expect((await parse(...args)).refused).toBe(true);
  },
);

test("the Temporal CLI's arguments are kept from our own parser", () => {
  expect(shieldTemporalArguments(['temporal', 'workflow', '--help'])).toEqual(['temporal', '--', 'workflow', '--help']);
  expect(shieldTemporalArguments(['--address', 'temporal', '--no-color', 'temporal', '--version'])).toEqual([
    ...['--address', 'temporal', '--no-color', 'temporal', '--', '--version'],
  ]);
  expect(shieldTemporalArguments(['watch', 'temporal', '--json'])).toEqual(['watch', 'temporal', '--json']);
});

test("errors for users have no stack; others show it on demand, and the job's own mistakes exit with 2", () => {
  const wrong = explain(jobInvalid([{ path: 'tables', message: 'is missing' }]));
  expect(wrong).toMatchObject({ exitCode: 2, next: 'Correct the job file and start it again.' });
  expect(wrong.stack).toBeUndefined();
  expect(explain(new TypeError('x is undefined'))).toMatchObject({
    message: 'Unexpected error: x is undefined',
    exitCode: 1,
    stack: expect.stringContaining('TypeError') as string,
  });
});

test('hints repeat what the next command needs to find the same Temporal', () => {
  const { hint } = makeContext({ color: false, address: 'other:7233' }, { npm_lifecycle_event: 'npx' });
  expect(hint('watch', "o'neil's job")).toBe(`npx longhaul watch 'o'\\''neil'\\''s job' --address other:7233`);
});

test('the summary of a job names connections and tables only', () => {
  const { compiled } = parseJob({
    ...{ name: 'n', source: 'shop', destination: 'dw' },
    tables: ['public.*', { from: 'public.orders', to: 'x.y', where: "secret = 'abc'" }],
  });
  expect(summaryOf(compiled!)).toBe('shop → dw: public.*, public.orders');
});
