import { readFileSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import {
  connectionsJsonSchema,
  jobJsonSchema,
  SCHEMA_FILES,
  TEMPLATES,
  writeTemplates,
} from '../../src/config/index.js';
import { parseYaml } from '../../src/config/yaml.js';

/** What an editor says of a file: the schema compiled by a validator that is not ours. */
function mistakes(schema: object, value: unknown): string[] {
  const validate = new Ajv2020({ strict: false, allErrors: true }).compile(schema);
  return validate(value) ? [] : validate.errors!.map(({ instancePath, message }) => `${instancePath} ${message}`);
}

const examples = (page: string) =>
  [...readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(
    ([, yaml]) => parseYaml(yaml!).value,
  );

const TWO_LINES = { name: 'a', source: 's', destination: 'd', tables: ['t'] };

describe('the JSON Schema of a job', () => {
  it('takes every example of the docs', () => {
    for (const example of examples('job-file.md')) expect(mistakes(jobJsonSchema(), example)).toEqual([]);
  });

  it.each<[object, string]>([
    [{ mode: 'replce' }, '/mode must be equal to one of the allowed values'],
    [{ paralelism: 3 }, ' must NOT have additional properties'],
    [{ parallelism: 0 }, '/parallelism must be >= 1'],
    [{ source: 'postgres://x' }, '/source must match pattern'],
    [{ tables: [] }, '/tables must NOT have fewer than 1 items'],
    [{ again: 'yes' }, '/again must be boolean'],
  ])('refuses %j', (change, expected) => {
    expect(mistakes(jobJsonSchema(), { ...TWO_LINES, ...change }).join('\n')).toContain(expected);
  });
});

describe('the JSON Schema of longhaul.yaml', () => {
  it('takes the example of the docs, whose references are still names', () => {
    for (const example of examples('configuration.md')) expect(mistakes(connectionsJsonSchema(), example)).toEqual([]);
  });

  it('refuses an unknown key and an unknown type', () => {
    const shop = { type: 'postgres', url: 'x', maxSesions: 3 };
    expect(mistakes(connectionsJsonSchema(), { connections: { shop } })).not.toEqual([]);
    expect(mistakes(connectionsJsonSchema(), { connections: { shop: { type: 'oracle' } } })).not.toEqual([]);
  });
});

describe('the files of init', () => {
  it('name their schemas, which lie beside them and take them as they are', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'longhaul-schema-'));
    await writeTemplates(folder);
    for (const name of ['job.yaml', 'longhaul.yaml']) {
      const text = await readFile(join(folder, name), 'utf8');
      const [, schema] = /^# yaml-language-server: \$schema=(\S+)\n/.exec(text)!;
      const parsed = JSON.parse(await readFile(join(folder, schema!), 'utf8')) as object;
      expect(mistakes(parsed, parseYaml(text).value)).toEqual([]);
    }
    expect(Object.keys(SCHEMA_FILES)).toEqual(['job.schema.json', 'longhaul.schema.json']);
    expect(Object.keys(TEMPLATES)).not.toContain('job.schema.json');
  });
});
