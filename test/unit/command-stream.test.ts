import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LonghaulError } from '../../src/core/errors.js';
import type { CommandConnectionConfig } from '../../src/connectors/command/config.js';
import { allOf, Commands, onQuery, type OnQuery } from '../support/command.js';

let commands: Commands;
beforeEach(async () => (commands = await Commands.make()));
afterEach(async () => {
  expect(await commands.left()).toEqual([]);
  expect(commands.alive()).toEqual([]);
  await commands[Symbol.asyncDispose]();
});

/** With a mark in its environment, by which the test finds what is left of it. */
const shell = (script: string, over: Partial<CommandConnectionConfig> = {}) =>
  commands.shell(script, { env: { MARK: commands.folder }, ...over });

async function failure(config: CommandConnectionConfig, on: Partial<OnQuery> = {}): Promise<LonghaulError> {
  const error: unknown = await commands.read(config, on).then(
    ({ count }) => new Error(`${count} rows were given`),
    (thrown: unknown) => thrown,
  );
  if (error instanceof LonghaulError) return error;
  throw error;
}

const OUT = '"$LONGHAUL_OUT"';

describe('the protocol', () => {
  it('is one JSON document on standard input, and the same in variables', async () => {
    const script = `import json, os, sys
request = json.load(sys.stdin)
assert sys.stdin.read() == ''
json.dump({'request': request, 'env': dict(os.environ), 'cwd': os.getcwd(), 'args': sys.argv[1:]}, open('seen.json', 'w'))
open(request['out'], 'w').close()`;
    await commands.program('extract.py', script);
    const sql = `SELECT '€ "quoted"'\n  FROM orders`;
    await commands.read(commands.config({ run: ['python3', 'extract.py', '$HOME; echo *'] }), { sql });
    const { request, env, cwd, args } = JSON.parse(await readFile(commands.at('seen.json'), 'utf8')) as {
      request: Record<string, unknown>;
      env: Record<string, string>;
      cwd: string;
      args: string[];
    };
    expect(request).toEqual({
      ...{ protocol: 1, query: sql, queryId: 'q017', table: 'orders', partition: 16, run: 'b2d3f1d0-run', attempt: 1 },
      columns: [
        { name: 'id', type: 'bigint' },
        { name: 'note', type: 'text' },
      ],
      ...{ format: 'csv', output: 'pipe' },
      out: expect.stringMatching(/\/tmp\/b2d3f1d0-run\/orders\/q017\/attempt-1-[-\w]+\/rows$/) as string,
      tmp: expect.stringMatching(/\/tmp$/) as string,
      done: expect.stringMatching(/\/done$/) as string,
    });
    expect(env).toMatchObject({
      ...{ LONGHAUL_PROTOCOL: '1', LONGHAUL_QUERY: sql, LONGHAUL_QUERY_ID: 'q017', LONGHAUL_TABLE: 'orders' },
      ...{ LONGHAUL_PARTITION: '16', LONGHAUL_RUN: 'b2d3f1d0-run', LONGHAUL_ATTEMPT: '1', LONGHAUL_FORMAT: 'csv' },
      ...{ LONGHAUL_OUTPUT: 'pipe', LONGHAUL_OUT: request.out, LONGHAUL_TMP: request.tmp, LONGHAUL_DONE: request.done },
      LONGHAUL_COLUMNS: JSON.stringify(request.columns),
    });
    expect([cwd, args]).toEqual([commands.folder, ['$HOME; echo *']]);
  });

  it('takes a query that is longer than a variable may be, and a program that reads none of it', async () => {
    const sql = `SELECT '${'x'.repeat(3_000_000)}'`;
    const count = `wc -c < /dev/stdin > size; echo "1,$LONGHAUL_OMITTED-$LONGHAUL_QUERY" > ${OUT}`;
    expect((await commands.read(shell(count), { sql })).rows).toEqual(['1,LONGHAUL_QUERY-']);
    expect(Number(await readFile(commands.at('size'), 'utf8'))).toBeGreaterThan(3_000_000);
    expect((await commands.read(shell(`echo 1,a > ${OUT}`), { sql })).count).toBe(1);
  });

  it('makes safe names of folders from whatever tables and queries are called', async () => {
    const names = { id: '../../q\n17', table: `a/b ${'long'.repeat(50)}` };
    const { rows } = await commands.read(shell(`echo "$LONGHAUL_OUT," > ${OUT}`), names);
    expect(rows[0]).toMatch(/\/tmp\/b2d3f1d0-run\/a_b_long\w+-\w{8}\/[_.]+q_17-\w{8}\/attempt-1-[-\w]+\/rows,null$/);
  });
});

describe('rows on a pipe', () => {
  it('end with the program, however often it opens the pipe', async () => {
    expect((await commands.read(shell(`echo 1,a > ${OUT}; sleep 0.2; echo 2,b >> ${OUT}`))).rows).toEqual([
      '1,a',
      '2,b',
    ]);
    expect((await commands.read(shell('exit 0'))).rows).toEqual([]);
  });

  it('are apart from what is printed', async () => {
    const { rows, logged } = await commands.read(shell(`echo banner; echo 1,a > ${OUT}; echo bye > /dev/stderr`));
    expect(rows).toEqual(['1,a']);
    expect(logged.map(({ message, fields }) => [message, fields.stream])).toEqual(
      expect.arrayContaining([
        ['banner', 'stdout'],
        ['bye', 'stderr'],
      ]),
    );
  });

  it('pass through as CSV when that is asked for', async () => {
    const { session } = await commands.open(shell(`printf '1,a\\n2,b\\n' > ${OUT}`));
    await using _ = session;
    const { record, partition } = onQuery({ format: 'csv' });
    const stream = await session.stream(record, partition);
    expect([stream.kind, stream.format]).toEqual(['bytes', 'csv']);
    expect(await allOf(stream)).toEqual({ rows: ['1,a', '2,b'], count: 2 });
  });

  it('are not lost in a file that was put in the place of the pipe', async () => {
    const { code, message } = await failure(shell(`echo 1,a > x; mv x ${OUT}`));
    expect(code).toBe('SourceFailed');
    expect(message).toMatchInlineSnapshot(
      `"Query q017 of orders: the program of connection "legacy" put something else in the place of the named pipe that its rows go to; nothing was committed."`,
    );
  });

  it('are not complete while a process that was left behind holds the pipe', async () => {
    const { code, message } = await failure(shell(`echo 1,a > ${OUT}; sleep 100 > ${OUT} &`, { stopGrace: 300 }));
    expect(code).toBe('SourceFailed');
    expect(message).toMatchInlineSnapshot(
      `"Query q017 of orders: the program of connection "legacy" exited with code 0 while a process that it had started still held its rows open; nothing was committed."`,
    );
  });

  it('may come from a process that goes on for a while', async () => {
    const { rows } = await commands.read(shell(`(sleep 0.3; echo 2,b) > ${OUT} & echo 1,a > ${OUT}`));
    expect(rows.sort()).toEqual(['1,a', '2,b']);
  });
});

describe('rows on standard output', () => {
  it('are all that is there', async () => {
    const { rows, logged } = await commands.read(
      shell('echo 1,a; echo 2,b > /dev/stdout; echo note >&2', { output: 'stdout' }),
    );
    expect(rows).toEqual(['1,a', '2,b']);
    expect(logged.map(({ message }) => message)).toEqual(['note']);
  });
});

describe('rows in files', () => {
  const files = (script: string, over: Partial<CommandConnectionConfig> = {}) =>
    shell(`cd ${OUT}; ${script}`, { output: 'files', ...over });

  it('come in the order of their names, folders too, without notes of the program', async () => {
    const script = `mkdir part b; echo 3,c > part/2; echo 2,b > part/1; echo 1,a > a; echo 4,d > z
      echo x > part/_SUCCESS; echo x > .crc; rmdir b; echo 5,e > "\${LONGHAUL_OUT}/zz"; touch _done`;
    expect((await commands.read(files(script))).rows).toEqual(['1,a', '2,b', '3,c', '4,d', '5,e']);
  });

  it('may be none', async () => {
    expect((await commands.read(files('touch _done'))).count).toBe(0);
  });

  it('are not complete without _done', async () => {
    const { code, message, next } = await failure(files('echo 1,a > a'));
    expect(code).toBe('SourceFailed');
    expect(`${message} ${next}`).toMatchInlineSnapshot(
      `"Query q017 of orders: the program of connection "legacy" exited with code 0 and left no file _done beside its files; nothing was committed. Let it make _done when all files are complete: it is tried again."`,
    );
  });

  it('are Parquet too, in the order of their names', async () => {
    const fixture = fileURLToPath(new URL('../fixtures/parquet/plain.parquet', import.meta.url));
    const config = files(`cp ${fixture} b.parquet; cp ${fixture} a.parquet; touch _done`, { format: 'parquet' });
    const { rows, count } = await commands.read(config, { columns: { note: 'text', id: 'bigint', word: 'text' } });
    expect(count).toBe(5_000);
    expect([rows[0], rows[1], rows[2_500]]).toEqual(['note 0,0,null', 'note 7919,1,word 1', 'note 0,0,null']);
  });

  it('are files and nothing else', async () => {
    const { message } = await failure(files('ln -s /etc/passwd a; touch _done'));
    expect(message).toMatchInlineSnapshot(
      `"Query q017 of orders: the program of connection "legacy" left something among its files that is neither a file nor a folder; nothing was committed."`,
    );
  });

  it('move the meter while they are written', async () => {
    const script = 'for n in 1 2 3 4 5 6; do echo $n,aaaaaaaaaaaaaaaa >> a; sleep 0.5; done; touch _done';
    const { session, meter } = await commands.open(files(script));
    await using _ = session;
    const { record, partition } = onQuery();
    const stream = await session.stream(record, partition);
    const reading = allOf(stream);
    await commands.until('the first bytes', () => (meter.spooled ?? 0) > 0);
    const first = meter.spooled!;
    await commands.until('more bytes', () => meter.spooled! > first);
    expect((await reading).count).toBe(6);
  });
});

describe('a trailer', () => {
  it('is compared with what was given', async () => {
    const told = (rows: string) => shell(`printf '1,a\\n2,b\\n' > ${OUT}; echo '{"rows": ${rows}}' > "$LONGHAUL_DONE"`);
    expect((await commands.read(told('2'))).count).toBe(2);
    const { code, message, next } = await failure(told('1200'));
    expect(code).toBe('SourceFailed');
    expect(`${message} ${next}`).toMatchInlineSnapshot(
      `"Query q017 of orders: the program of connection "legacy" gave 2 rows and says in its trailer that there are 1,200; nothing was committed. It is tried again. If it stays so, run the program by hand with this query."`,
    );
    expect((await failure(told('"2"'))).message).toMatchInlineSnapshot(
      `"Query q017 of orders: the program of connection "legacy" left a trailer that can not be read; nothing was committed."`,
    );
    expect((await failure(told('2, '))).message).toContain('trailer that can not be read');
  });

  it('may stand in _done, or be an empty file or a date', async () => {
    const files = (done: string) => shell(`echo 1,a > ${OUT}/a; echo '${done}' > ${OUT}/_done`, { output: 'files' });
    expect((await commands.read(files('{"rows": 1}'))).count).toBe(1);
    expect((await commands.read(files('2024-01-31'))).count).toBe(1);
    expect((await failure(files('{"rows": 2}'))).message).toContain('gave 1 row and says in its trailer');
  });
});

describe('an exit', () => {
  const exits = (script: string, over = {}) =>
    failure(shell(`echo 1,a > ${OUT}; echo "no such account" >&2; ${script}`, over));

  it.each([
    ['with a code that says nothing', 'exit 3', 'SourceFailed'],
    ['with EX_TEMPFAIL', 'exit 75', 'SourceFailed'],
    ['with EX_CONFIG', 'exit 78', 'SourceRefused'],
    ['with EX_DATAERR', 'exit 65', 'SourceRefused'],
    ['of a shell that found no program', 'nosuchprogram', 'SourceFailed'],
    ['by a signal', 'kill -9 $$', 'SourceFailed'],
    ['by a signal that a program sends itself', 'kill -TERM $$', 'SourceFailed'],
  ])('%s is an error, though all rows were given', async (_, script, code) => {
    const error = await exits(script);
    expect(error.code).toBe(code);
    expect(`${error.message}\n${error.next}`).toMatchSnapshot();
  });

  it.each(['pipe', 'stdout', 'files'] as const)('is known before the rows end: %s', async (output) => {
    const out = output === 'files' ? `${OUT}/a; touch ${OUT}/_done` : output === 'pipe' ? OUT : '/dev/stdout';
    const { session } = await commands.open(shell(`echo 1,a > ${out}; sleep 0.2; exit 3`, { output }));
    await using _ = session;
    const { record, partition } = onQuery();
    const stream = await session.stream(record, partition);
    await expect(allOf(stream)).rejects.toMatchObject({ code: 'SourceFailed' });
    await expect(stream.rows).rejects.toMatchObject({ code: 'SourceFailed' });
  });

  it('tells the last that was written to standard error, and no more than that', async () => {
    const many = `for n in $(seq 5000); do echo "line $n of the traceback" >&2; done; exit 1`;
    const { message } = await exits(many);
    const lines = message.split('\n');
    expect(lines.at(-1)).toBe('  line 5000 of the traceback');
    expect(lines).toHaveLength(2 + 20);
    expect(Buffer.byteLength((await exits(`head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1`)).message)).toBeLessThan(
      2_500,
    );
  });
});

describe('a program that can not be started', () => {
  const why = async (over: Partial<CommandConnectionConfig>) => {
    const { code, message, next } = await failure(commands.config(over));
    expect(code).toBe('ConnectionFailed');
    expect(next).toContain('longhaul.yaml');
    const { session } = await commands.open(commands.config(over));
    const [finding] = await session.checkServer({ sessions: 1 });
    expect(finding).toMatchObject({ severity: 'problem' });
    return `${message}\n${finding!.message} — ${finding!.fix}`.replaceAll(commands.folder, '<folder>');
  };

  it('is told by what is missing, by a check and by an attempt', async () => {
    await commands.program('script.py', '#!/nowhere/python\n');
    expect(await why({ run: ['pythonn3', 'x.py'] })).toMatchInlineSnapshot(`
      "The program of connection "legacy" can not be started on this worker: there is no program "pythonn3" in its PATH.
      the program of connection "legacy" can not be started: there is no program "pythonn3" in its PATH — correct run, cwd or env of the connection in longhaul.yaml, or install the program"
    `);
    expect(await why({ run: ['./nowhere.sh'] })).toMatchInlineSnapshot(`
      "The program of connection "legacy" can not be started on this worker: there is no file "./nowhere.sh" (seen from <folder>).
      the program of connection "legacy" can not be started: there is no file "./nowhere.sh" (seen from <folder>) — correct run, cwd or env of the connection in longhaul.yaml, or install the program"
    `);
    expect(await why({ run: ['/etc/passwd'] })).toMatchInlineSnapshot(`
      "The program of connection "legacy" can not be started on this worker: "/etc/passwd" (seen from <folder>) may not be executed.
      the program of connection "legacy" can not be started: "/etc/passwd" (seen from <folder>) may not be executed — correct run, cwd or env of the connection in longhaul.yaml, or install the program"
    `);
    expect(await why({ run: ['true'], cwd: commands.at('nowhere') })).toMatchInlineSnapshot(`
      "The program of connection "legacy" can not be started on this worker: its working folder <folder>/nowhere is not there.
      the program of connection "legacy" can not be started: its working folder <folder>/nowhere is not there — correct run, cwd or env of the connection in longhaul.yaml, or install the program"
    `);
    expect(await why({ run: ['true'], env: { PATH: '/nowhere' } })).toMatchInlineSnapshot(`
      "The program of connection "legacy" can not be started on this worker: there is no program "true" in its PATH.
      the program of connection "legacy" can not be started: there is no program "true" in its PATH — correct run, cwd or env of the connection in longhaul.yaml, or install the program"
    `);
    const { message } = await failure(commands.config({ run: ['./script.py'] }));
    expect(message).toMatchInlineSnapshot(
      `"The program of connection "legacy" can not be started on this worker: "./script.py" is a script whose first line names a program that is not there."`,
    );
  });

  it('is one whose temporary folder can not be had', async () => {
    await commands.program('file', '');
    expect(await why({ tmpDir: commands.at('file/tmp') })).toMatchInlineSnapshot(`
      "Connection "legacy" has no temporary folder on this worker: <folder>/file/tmp (ENOTDIR).
      connection "legacy" has no temporary folder: <folder>/file/tmp (ENOTDIR) — name another: tmpDir in longhaul.yaml"
    `);
    expect(existsSync(commands.at('file/tmp'))).toBe(false);
  });
});
