import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  ConfigError,
  SCHEMA_FILES,
  TEMPLATES,
  expandTables,
  loadTemporalConfig,
  loadWorkerConfig,
  parseJob,
  readJobFile,
  writeTemplates,
} from '../../src/config/index.js';
import { PINNED_SETTINGS } from '../../src/connectors/postgres/pins.js';
import { postgresIn } from '../support/connection.js';

const SECRET = 'hunter2';

function folder(files: Record<string, string>): string {
  const path = mkdtempSync(join(tmpdir(), 'longhaul-config-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

function load(yaml: string, env: Record<string, string> = {}, files: Record<string, string> = {}) {
  return loadWorkerConfig(join(folder({ ...files, 'longhaul.yaml': yaml }), 'longhaul.yaml'), env).config;
}

function failure(yaml: string, env: Record<string, string> = {}): string {
  try {
    load(yaml, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.slice(error.message.indexOf('\n') + 1);
    throw error;
  }
  throw new Error('nothing was refused');
}

const connection = (lines: string) => `connections:\n  a:\n    type: postgres\n${lines.replace(/^/gm, '    ')}`;
const PARTS = 'host: localhost\ndatabase: shop\nuser: me\n';

describe('longhaul.yaml', () => {
  it('fills in defaults', () => {
    const config = load(connection(PARTS));
    expect(config.connections.get('a')).toMatchObject({
      ...{ type: 'postgres', name: 'a', host: 'localhost', port: 5432, database: 'shop', user: 'me' },
      ...{ settings: {}, maxSessions: 32, ledgerSchema: 'longhaul' },
    });
    expect(config.worker).toEqual({
      ...{ taskQueue: 'longhaul', maxConcurrentPartitions: 16, shutdownGrace: 10_000, logLevel: 'info' },
    });
    expect(config.warnings).toEqual([]);
  });

  it('takes a URL apart, TLS parameters too', () => {
    const url = 'url: "postgresql://me:p%40ss%2Fw@[::1]:5433/shop?sslmode=verify-full&sslrootcert=ca.pem"';
    const { host, port, database, user, password, tls } = postgresIn(load(connection(url), {}, { 'ca.pem': '' }), 'a');
    expect({ host, port, database, user, password }).toEqual({
      host: '::1',
      port: 5433,
      database: 'shop',
      user: 'me',
      password: 'p@ss/w',
    });
    expect(tls).toEqual({ mode: 'verify-full', ca: expect.stringMatching(/^\/.*ca\.pem$/) as string });
  });

  it('takes references from the environment before those from .env', () => {
    const yaml = connection(
      `${PARTS}password: "\${PW}-\${OTHER}-$\${PW}"\nmaxSessions: \${MAX}\nsettings: {work_mem: 64MB, jit: false}`,
    );
    const config = load(yaml, { PW: 'real' }, { '.env': 'PW=dotenv\nOTHER="a b"\nMAX=8\n' });
    const { password, maxSessions, settings } = postgresIn(config, 'a');
    expect({ password, maxSessions, settings }).toEqual({
      ...{ password: 'real-a b-${PW}', maxSessions: 8, settings: { work_mem: '64MB', jit: 'false' } },
    });
  });

  it('warns of a connection that is not encrypted, unless that is said', () => {
    const remote = PARTS.replace('localhost', 'db.example.com');
    expect(load(connection(remote)).warnings).toMatchObject([{ path: 'connections.a', message: 'is not encrypted' }]);
    expect(load(connection(`${remote}tls: {mode: disable}`)).warnings).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['an empty file', '', 'connections: is missing — write one'],
    ['no connection', 'connections: {}', 'connections: names no connection'],
    [
      'another type',
      'connections: {a: {type: postgre}}',
      'connections.a.type: is not one of postgres, command, module, delta, parquet, databricks — did you mean "postgres"?',
    ],
    [
      'no type',
      'connections: {a: {url: x}}',
      'connections.a.type: is missing — write one of postgres, command, module, delta, parquet',
    ],
    [
      'a module that is not there',
      'connections: {a: {type: module, path: none.ts}}',
      'connections.a.path: the file can not be read — write the path of a TypeScript or JavaScript module',
    ],
    ['a module without a path', 'connections: {a: {type: module}}', 'connections.a.path: is missing — write one'],
    ['nothing under a name', 'connections: {a: }', 'connections.a: is empty'],
    ['a mistyped part', connection(`${PARTS}prot: 5432`), 'connections.a.prot: unknown key — did you mean "port"?'],
    [
      'a missing part',
      connection('host: h\nuser: u'),
      'connections.a.database: is missing — write host, database and user, or a url',
    ],
    [
      'a number as password',
      connection(`${PARTS}password: 123456`),
      'connections.a.password: is a number — write a text (in quotes',
    ],
    [
      'a port that is none',
      connection(`${PARTS}port: hunter2`),
      'connections.a.port: is not allowed — write a whole number from 1 to 65535',
    ],
    ['url and parts', connection('url: postgres://u@h/d\nhost: h'), 'connections.a.host: stands beside url'],
    [
      'a variable that is missing',
      connection('url: ${SOURCE_URL}'),
      'connections.a.url: the environment variable SOURCE_URL is not set',
    ],
    [
      'a broken reference',
      connection('url: "${SOURCE URL"'),
      'connections.a.url: holds a ${…} that is not a reference',
    ],
    ['another database', connection('url: mysql://u:hunter2@h/d'), 'connections.a.url: is not a Postgres URL'],
    ['a bare slash in a password', connection('url: postgres://u:12/hunter2@h/d'), 'connections.a.url: is ambiguous'],
    ['a bare hash in a password', connection('url: "postgres://u:12#hunter2@h/d"'), 'connections.a.url: '],
    ['a URL without database', connection('url: postgres://u:hunter2@h'), 'connections.a.url: names no database'],
    [
      'an unknown parameter',
      connection('url: postgres://u@h/d?channel_binding=hunter2'),
      'holds the parameter channel_binding, which',
    ],
    [
      'an empty promise of TLS',
      connection('url: postgres://u@h/d?sslmode=prefer'),
      'holds an sslmode that promises nothing',
    ],
    [
      'TLS said twice',
      connection('url: postgres://u@h/d?sslmode=require\ntls: {mode: require}'),
      'connections.a.tls: stands beside sslmode',
    ],
    [
      'a missing file',
      connection(`${PARTS}tls: {mode: verify-ca, ca: nowhere.pem}`),
      'connections.a.tls.ca: the file can not be read',
    ],
    [
      'half a key pair',
      connection(`${PARTS}tls: {mode: require, cert: longhaul.yaml}`),
      'connections.a.tls: holds only one of cert and key',
    ],
    [
      'a pinned setting',
      connection(`${PARTS}settings: {search_path: x}`),
      'connections.a.settings.search_path: Longhaul states this setting itself',
    ],
    [
      'a schema with a quote',
      connection(`${PARTS}ledgerSchema: 'a"b'`),
      'connections.a.ledgerSchema: not a schema name',
    ],
    [
      'a worker in a hurry',
      `${connection(PARTS)}\nworker: {shutdownGrace: 10}`,
      'worker.shutdownGrace: is not a duration',
    ],
    ['an unknown section', `${connection(PARTS)}\nworkers: {}`, 'workers: unknown key — did you mean "worker"?'],
    ['a syntax error', 'connections:\n  a: *hunter2', 'line 2, column 6: a value begins with *'],
    ['a repeated key', 'connections:\n  a: hunter2\n  a: hunter2', 'line 3, column 3: the same key stands here'],
  ])('refuses %s', (_, yaml, expected) => {
    const text = failure(yaml);
    expect(text).toContain(expected);
    expect(text.split('\n')).toHaveLength(1);
    expect(text).not.toContain(SECRET);
  });

  it('says all that is wrong at once, in the order of the file', () => {
    const yaml = `
connections:
  source: {type: postgres, url: "\${SOURCE_URL}", maxSession: 5}
  my db: {type: postgres, host: h, user: u, database: d}
  lake: {type: oracle}
  dw: {type: postgres, url: "postgres://u:${SECRET}@h/d", password: ${SECRET}, tls: {mode: on}}
  dw2: {type: postgres, host: h, password: "\${EMPTY}", settings: {row_security: on, work mem: 1}}
worker: {logLevel: verbose, maxConcurrentPartitions: "\${SECRET}", taskQeue: x}
`;
    expect(failure(yaml, { EMPTY: '', SECRET })).toMatchInlineSnapshot(`
      "connections.source.url: the environment variable SOURCE_URL is not set — set SOURCE_URL in the environment or in .env beside this file
      connections.source.maxSession: unknown key — did you mean "maxSessions"?
      connections["my db"]: not a name — begin with a letter, then letters, digits, _ . -
      connections.lake.type: is not one of postgres, command, module, delta, parquet, databricks — write one of these
      connections.dw.password: stands beside url — write either url or the parts, not both
      connections.dw.tls.mode: is not one of disable, require, verify-ca, verify-full — write one of these
      connections.dw2.password: the environment variable EMPTY is set but empty — set EMPTY in the environment or in .env beside this file
      connections.dw2.settings.row_security: Longhaul states this setting itself — leave it out
      connections.dw2.settings["work mem"]: not the name of a setting — write one such as work_mem
      connections.dw2.database: is missing — write host, database and user, or a url such as \${SOURCE_URL}
      connections.dw2.user: is missing — write host, database and user, or a url such as \${SOURCE_URL}
      worker.logLevel: is not one of debug, info, warn, error — write one of these
      worker.maxConcurrentPartitions: is not allowed — write a whole number from 1 to 1000
      worker.taskQeue: unknown key — did you mean "taskQueue"?"
    `);
    expect(failure(yaml, { EMPTY: '', SECRET })).not.toContain(SECRET);
  });

  it('names the file that is missing and how to make one', () => {
    expect(() => loadWorkerConfig('/nowhere/longhaul.yaml', {})).toThrow(/there is no such file — `longhaul init`/);
    expect(() => loadWorkerConfig(undefined, { LONGHAUL_CONFIG: '/else/l.yaml' })).toThrow(
      /^\/else\/l\.yaml has 1 problem/,
    );
  });

  it('refuses every setting that a copy pins', () => {
    for (const name of PINNED_SETTINGS)
      expect(failure(connection(`${PARTS}settings: {${name}: x}`))).toContain('Longhaul states');
  });
});

describe('secrets', () => {
  it('are in no print of a configuration, nor of a copy of a connection', () => {
    const config = load(connection(`url: postgres://me:${SECRET}@localhost/shop`));
    const given = postgresIn(config, 'a');
    expect(given.password).toBe(SECRET);
    for (const value of [config, given, { ...given, host: 'other' }, [{ deep: { given } }]]) {
      for (const text of [JSON.stringify(value), inspect(value, { depth: 9, showHidden: true })]) {
        expect(text).not.toContain(SECRET);
      }
    }
    expect(JSON.stringify(given)).toContain('"password":"[secret]"');
  });

  it('may be any option of a module, so none is printed', () => {
    const yaml = `connections: {a: {type: module, path: erp.ts, options: {token: "\${TOKEN}"}}}`;
    const given = load(yaml, { TOKEN: SECRET }, { 'erp.ts': '' }).connections.get('a')!;
    expect(given).toMatchObject({ options: { token: SECRET }, path: expect.stringMatching(/^\/.*erp\.ts$/) as string });
    for (const text of [JSON.stringify(given), inspect(given, { showHidden: true })])
      expect(text).not.toContain(SECRET);
  });
});

describe('Temporal', () => {
  const toml = (text: string) => ({ TEMPORAL_CONFIG_FILE: join(folder({ 'temporal.toml': text }), 'temporal.toml') });
  const nowhere = { TEMPORAL_CONFIG_FILE: '/nowhere/temporal.toml' };

  it('is on this machine when nothing is said', () => {
    expect(loadTemporalConfig(nowhere)).toMatchObject({ address: '127.0.0.1:7233', namespace: 'default' });
  });

  it('is read from a profile, then from variables; secrets are not printed', () => {
    const env = toml(`[profile.cloud]\naddress = "x.tmprl.cloud:7233"\nnamespace = "x"\napi_key = "${SECRET}"\n`);
    const config = loadTemporalConfig({ ...env, TEMPORAL_NAMESPACE: 'y', TEMPORAL_ADDRESS: '' }, 'cloud');
    expect(config).toMatchObject({ address: 'x.tmprl.cloud:7233', namespace: 'y' });
    expect(config.connectionOptions).toMatchObject({ apiKey: SECRET, tls: true });
    expect(JSON.stringify(config) + inspect(config, { depth: 9 })).not.toContain(SECRET);
  });

  it.each<[string, string, string | undefined, RegExp]>([
    ['a profile that is none', '[profile.a]\naddress = "x"', 'b', /there is no profile "b" — `temporal config list`/],
    ['no profiles at all', 'x = 1', 'b', /there is no profile "b"/],
    ['broken TOML', `[profile.a]\napi_key = "${SECRET}`, 'a', /line 2: not valid TOML/],
    [
      'a missing certificate',
      '[profile.a.tls]\nclient_cert_path = "/nowhere/c.pem"',
      'a',
      /\/nowhere\/c\.pem can not be read \(ENOENT\)/,
    ],
  ])('says what is wrong with %s', (_, text, profile, expected) => {
    const message = (() => {
      try {
        loadTemporalConfig(toml(text), profile);
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing was refused';
    })();
    expect(message).toMatch(expected);
    expect(message).not.toContain(SECRET);
  });
});

describe('the templates of init', () => {
  it('are a working configuration and job', async () => {
    const path = folder({});
    const files = [...Object.keys(TEMPLATES), ...Object.keys(SCHEMA_FILES)];
    expect(await writeTemplates(path)).toEqual({ written: files, kept: [] });
    writeFileSync(join(path, '.env'), readFileSync(join(path, '.env.example')));
    const { config } = loadWorkerConfig(join(path, 'longhaul.yaml'), {});
    const { job } = await expandTables(parseJob(await readJobFile(join(path, 'job.yaml'))), () => Promise.resolve([]));
    expect([...config.connections.keys()]).toEqual([job!.source, job!.destination]);
  });

  it('stay valid with every commented key put in', async () => {
    const uncommented = (name: string) => TEMPLATES[name]!.replace(/^( *)# ?(?=( *-? ?[a-z]+:| {2,}[a-z]+:))/gim, '$1');
    const path = folder({ 'job.yaml': uncommented('job.yaml') });
    const { job, problems } = await expandTables(parseJob(await readJobFile(join(path, 'job.yaml'))), () =>
      Promise.resolve([]),
    );
    expect(problems).toEqual([]);
    expect(job!.tables.map(({ to }) => to)).toEqual(['dw.orders', 'dw.events']);
  });

  it('keep a file that is there', async () => {
    const path = folder({ 'job.yaml': 'mine' });
    expect((await writeTemplates(path)).kept).toEqual(['job.yaml']);
    expect(readFileSync(join(path, 'job.yaml'), 'utf8')).toBe('mine');
  });
});
