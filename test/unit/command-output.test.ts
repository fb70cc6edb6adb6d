import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { redactor } from '../../src/connectors/redact.js';
import { Commands } from '../support/command.js';

let commands: Commands;
beforeEach(async () => (commands = await Commands.make()));
afterEach(async () => {
  vi.unstubAllEnvs();
  await commands[Symbol.asyncDispose]();
});

describe('what a program prints', () => {
  it('is logged line by line, with the query and without colors or what a terminal would act on', async () => {
    const script = String.raw`printf 'one\r\n\r\n\033[31mred\033[0m\atwo  \nprogress 10%%\rprogress 20%%\nlast'; printf 'caf\303\251\n' >&2`;
    const { logged } = await commands.read(commands.shell(script));
    const lines = (stream: string) => logged.filter(({ fields }) => fields.stream === stream);
    expect(lines('stdout').map(({ message }) => message)).toEqual([
      ...['one', 'redtwo', 'progress 10%', 'progress 20%', 'last'],
    ]);
    expect(lines('stderr')).toEqual([
      { fields: { connection: 'legacy', query: 'q017', stream: 'stderr' }, message: 'café' },
    ]);
  });

  it('is logged as far as a person can read it', async () => {
    const script = 'seq 100000; head -c 50000000 /dev/zero | tr "\\0" x; echo; seq 100000 >&2';
    const { logged } = await commands.read(commands.shell(script));
    expect(logged.length).toBeLessThan(2_000);
    const dropped = logged.flatMap(
      ({ message }) => /^([\d,]+) lines? of the program left out here$/.exec(message)?.[1] ?? [],
    );
    const left = dropped.reduce((sum, count) => sum + Number(count.replaceAll(',', '')), 0);
    expect(left + logged.length - dropped.length).toBe(200_001);
    for (const { message } of logged) expect(message.length).toBeLessThanOrEqual(1_000);
  });

  it('may be megabytes before the first row', async () => {
    const script = 'head -c 30000000 /dev/zero | tr "\\0" "\\n" >&2; seq 1000000 >&2; echo 1,a > $LONGHAUL_OUT';
    expect((await commands.read(commands.shell(script))).rows).toEqual(['1,a']);
  });
});

describe('secrets', () => {
  const SECRET = 'hunter2 & "co"';

  it("of the connection's are the program's, and in no line of a log or an error", async () => {
    const script = `echo "password $PASSWORD for $MODE" >&2; echo $PASSWORD; echo "postgres://me:s3same@db/x?y" >&2
      node -e 'console.error(encodeURIComponent(process.env.PASSWORD), JSON.stringify({ p: process.env.PASSWORD }))'
      echo "$KEY" >&2; echo "asked: $LONGHAUL_QUERY" >&2; [ "$PASSWORD" = 'hunter2 & "co"' ] && exit 3`;
    const env = { PASSWORD: SECRET, MODE: 'on', KEY: '-----BEGIN-----\nMIIEvQIBADAN\n-----END-----' };
    const { session, logged } = await commands.open(commands.shell(script, { env }));
    await session[Symbol.asyncDispose]();
    const error = await commands
      .read(commands.shell(script, { env }), { sql: "SELECT * FROM people WHERE name = 'Curie'" })
      .catch((thrown: unknown) => thrown);
    const seen = `${JSON.stringify(logged)}${(error as Error).message}`;
    expect((error as Error).message).toContain('exited with code 3');
    expect((error as Error).message).toContain('password [secret] for on');
    expect((error as Error).message).toContain('postgres://[secret]@db/x?y');
    for (const secret of ['hunter2', 's3same', 'MIIEv', 'Curie']) expect(seen).not.toContain(secret);
  });

  it('are put out in any of their forms, the longer first', () => {
    const redact = redactor(['secret', 'secretary', 'x', ''], 'SELECT 1');
    expect(redact('the secretary has a secret x; SELECT 1')).toBe('the [secret] has a [secret] x; SELECT 1');
    expect(redact('https://example.com/a and mail@example.com')).toBe('https://example.com/a and mail@example.com');
    expect(redact('at odbc://u:p@ss@host:1/db')).toBe('at odbc://[secret]@host:1/db');
  });

  it('of a query are put out however long it is, also where a program prints but its beginning', () => {
    const keys = Array.from({ length: 300_000 }, (_, n) => `key-${n}`).join(', ');
    const redact = redactor([], `SELECT *\nFROM people WHERE name IN (${keys})\n${'-- \\ a line\n'.repeat(100_000)}`);
    expect(redact(`failed: FROM people WHERE name IN (${keys.slice(0, 900)}`)).toBe('failed: [secret]');
    expect(redact('SELECT is not allowed')).toBe('SELECT is not allowed');
  });

  it("of the worker's are not the program's", async () => {
    vi.stubEnv('TEMPORAL_API_KEY', 'key-of-the-worker');
    vi.stubEnv('WAREHOUSE_URL', 'postgres://u:p@h/d');
    vi.stubEnv('LC_TIME', 'C.UTF-8');
    const { logged } = await commands.read(commands.shell('env', { env: { ERP_USER: 'me' } }));
    const names = logged.map(({ message }) => message.split('=')[0]!).filter((name) => !name.startsWith('LONGHAUL_'));
    expect(names).toEqual(expect.arrayContaining(['PATH', 'HOME', 'LC_TIME', 'ERP_USER']));
    expect(JSON.stringify(logged)).not.toMatch(/key-of-the-worker|postgres:/);
    const passed =
      /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TMPDIR|SSL_CERT_\w+|LD_LIBRARY_PATH|LC_\w+|ERP_USER)$/;
    // The shell's own.
    expect(names.filter((name) => !passed.test(name) && !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([]);
  });
});
