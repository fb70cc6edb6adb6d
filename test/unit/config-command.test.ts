import { inspect } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { compileWorkerConfig, ConfigError, connectionsJsonSchema, TEMPLATES } from '../../src/config/index.js';
import { parseYaml } from '../../src/config/yaml.js';

const SECRET = 'hunter2';

function compile(keys: object, worker: object = {}, env: Record<string, string> = {}) {
  const raw = { connections: { legacy: { type: 'command', ...keys } }, worker };
  const config = compileWorkerConfig(raw, '/etc/longhaul/longhaul.yaml', env);
  return { legacy: config.connections.get('legacy')!, warnings: config.warnings };
}

function failure(keys: object): string {
  try {
    compile(keys);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.slice(error.message.indexOf('\n') + 1);
    throw error;
  }
  throw new Error('nothing was refused');
}

const RUN = { run: ['python3', 'extract.py'] };

describe('a connection of type command', () => {
  it('is a program with defaults', () => {
    const { legacy, warnings } = compile(RUN);
    expect(legacy).toMatchObject({
      ...{ type: 'command', name: 'legacy', run: ['python3', 'extract.py'], output: 'pipe', format: 'csv' },
      ...{ csv: { header: false, delimiter: ',' }, env: {}, cwd: '/etc/longhaul', maxProcesses: 8, stopGrace: 8_000 },
    });
    expect(legacy).not.toHaveProperty('tmpDir');
    expect(warnings).toEqual([]);
  });

  it('has paths beside the file, and values of references', () => {
    const keys = {
      ...{
        ...RUN,
        output: 'files',
        format: 'csv',
        csv: { header: true, delimiter: '\t' },
        cwd: 'jobs',
        tmpDir: '../tmp',
      },
      ...{ env: { ERP_PASSWORD: '${PW}', RETRIES: 3, TLS: true }, maxProcesses: '4', stopGrace: '2s' },
    };
    expect(compile(keys, {}, { PW: SECRET }).legacy).toMatchObject({
      ...{ csv: { header: true, delimiter: '\t' }, cwd: '/etc/longhaul/jobs', writtenCwd: 'jobs', tmpDir: '/etc/tmp' },
      ...{ env: { ERP_PASSWORD: SECRET, RETRIES: '3', TLS: 'true' }, maxProcesses: 4, stopGrace: 2_000 },
    });
  });

  it('prints without its environment', () => {
    const { legacy } = compile({ ...RUN, env: { ERP_PASSWORD: SECRET } });
    for (const text of [JSON.stringify(legacy), inspect({ ...legacy }, { depth: 9, showHidden: true })]) {
      expect(text).not.toContain(SECRET);
    }
  });

  it('ends its programs within the grace of the worker, or says that it does not', () => {
    expect(compile(RUN, { shutdownGrace: '60s' }).legacy).toMatchObject({ stopGrace: 10_000 });
    const { warnings } = compile({ ...RUN, stopGrace: '20s' }, { shutdownGrace: '20s' });
    expect(warnings).toMatchObject([
      {
        path: 'connections.legacy.stopGrace',
        message: expect.stringContaining('no time within worker.shutdownGrace') as string,
      },
    ]);
  });

  it.each<[string, object, string]>([
    ['no program', {}, 'run: is missing — write a list of texts, e.g. [python3, extract.py]'],
    ['an empty list', { run: [] }, 'run: names no program — write a list of texts'],
    ['an empty program', { run: ['', 'x'] }, 'run: names no program'],
    ['a line for a shell', { run: 'python3 extract.py' }, 'run: is one text — write a list of texts'],
    ['a number as argument', { run: ['head', 5] }, 'run[1]: is a number — write a text (in quotes'],
    ['a NUL', { run: ['a\0b'] }, 'run[0]: holds a NUL character'],
    ['another output', { ...RUN, output: 'file' }, 'output: is not one of pipe, files, stdout — did you mean "files"?'],
    [
      'parquet on a pipe',
      { ...RUN, format: 'parquet' },
      'format: parquet can not be read from a stream — add output: files',
    ],
    ['csv beside ndjson', { ...RUN, format: 'ndjson', csv: {} }, 'csv: stands beside format: ndjson'],
    ['a long delimiter', { ...RUN, csv: { delimiter: '||' } }, 'csv.delimiter: not a delimiter — write one character'],
    ['a quote as delimiter', { ...RUN, csv: { delimiter: '"' } }, 'csv.delimiter: is the quote of CSV'],
    ['a variable that is none', { ...RUN, env: { 'A B': 'x' } }, 'env["A B"]: not the name of a variable'],
    [
      "the protocol's variable",
      { ...RUN, env: { LONGHAUL_OUT: 'x' } },
      'env.LONGHAUL_OUT: Longhaul states LONGHAUL_… itself',
    ],
    ['a list as value', { ...RUN, env: { A: [SECRET] } }, 'env.A: not a value — write a text, a number, true or false'],
    ['a grace without unit', { ...RUN, stopGrace: 10 }, 'stopGrace: '],
    ['a key of Postgres', { ...RUN, maxSessions: 5 }, 'maxSessions: unknown key'],
  ])('refuses %s', (_, keys, expected) => {
    const text = failure(keys);
    expect(text).toContain(`connections.legacy.${expected}`);
    expect(text.split('\n')).toHaveLength(1);
    expect(text).not.toContain(SECRET);
  });

  it("is in the schema for editors, and among the comments of `longhaul init`'s file", () => {
    const validate = new Ajv2020({ strict: false, allErrors: true }).compile(connectionsJsonSchema());
    const uncommented = TEMPLATES['longhaul.yaml']!.replace(/^( {2})# ?(?=(?:lake|legacy):| {2}[a-zA-Z]+:)/gm, '$1');
    const { value } = parseYaml(uncommented) as { value: { connections: { legacy: object } } };
    expect(value.connections.legacy).toMatchObject({ type: 'command', run: ['python3', 'extract.py'] });
    expect(validate({ connections: { legacy: value.connections.legacy } })).toBe(true);
    expect(validate({ connections: { legacy: { type: 'command', run: [], nothing: 1 } } })).toBe(false);
    compile(value.connections.legacy, {}, { ERP_PASSWORD: SECRET });
  });
});
