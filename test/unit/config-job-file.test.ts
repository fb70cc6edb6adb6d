import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expandTables, parseJob, readJobFile } from '../../src/config/index.js';
import { formatProblems, LonghaulError } from '../../src/core/errors.js';

const FIVE_LINES = { name: 'nightly', source: 'shop', destination: 'warehouse', tables: ['public.orders'] };

const A_DOZEN = `
nmae: nightly
source: shop
destination: warehouse
paralelism: 8
mode: replce
retry:
  maximumAttemps: 3
  initialInterval: 30
defaults:
  to: "dw.{tabel}"
  partition: {size: 250}
tables:
  - public.orders
  - {form: public.users}
  - {from: public.a, columns: [id], exclude: [x]}
  - {from: public.b, partition: {size: 1GB, rows: 5M}}
  - {table: erp, queries: [{id: 1, sql: select 1}, {id: 1, sql: ""}], where: x > 1}
  - 17
  - {from: public.z, partition: {by: id, rows: 5m}, where: }
`;

describe('a dozen mistakes in one file', () => {
  it('are all said at once, in the order of the file', async () => {
    const { problems, compiled } = parseJob(await readJobFile(await file('job.yaml', A_DOZEN)));
    expect(compiled).toBeUndefined();
    expect(formatProblems(problems)).toMatchInlineSnapshot(`
      "nmae: unknown key — did you mean "name"?
      paralelism: unknown key — did you mean "parallelism"?
      mode: "replce" is not one of replace, append — did you mean "replace"?
      retry.maximumAttemps: unknown key — did you mean "maximumAttempts"?
      retry.initialInterval: 30 is not a duration — write a number with its unit, e.g. 5s
      defaults.to: holds a placeholder that is not known — did you mean {table}?
      defaults.partition.size: 250 is not a size — write a number with its unit, e.g. 256MB
      tables[1].form: unknown key — did you mean "from"?
      tables[2].exclude: can not stand beside columns — keep one of the two
      tables[3].partition: says size and rows — keep one of size, rows and count
      tables[4].queries[1].id: is the id of an earlier query too — give each its own
      tables[4].queries[1].sql: is empty — write the text of a query
      tables[4].where: can not stand beside queries — take it out: each query is a partition and says itself what it reads
      tables[5]: is a number — write schema.table, or keys such as {from: schema.table, where: …}
      tables[6].partition.rows: "5m" is not a count — write a whole number above 0, e.g. 5M (k, M, B: thousand, million, thousand million)
      tables[6].where: is empty — write a condition in the source's SQL, e.g. created_at >= '2024-01-01'"
    `);
  });

  it('leave what was understood to be checked further', async () => {
    const parsed = parseJob({
      ...FIVE_LINES,
      mode: 'replce',
      retry: { stallTimeout: 3 },
      tables: [5, 'public.a', { from: 'sales.*' }],
    });
    const { job, tables, problems } = await expandTables(parsed, () => Promise.resolve(['sales.x']));
    expect(job).toBeUndefined();
    expect(problems.map(({ path }) => path)).toEqual(['tables[0]', 'mode', 'retry.stallTimeout']);
    expect(tables.map(({ path, spec }) => [path, spec.table])).toEqual([
      ['tables[1]', 'public.a'],
      ['tables[2]', 'sales.x'],
    ]);
  });
});

describe('reading a job file', () => {
  it('takes JSON as well as YAML', async () => {
    expect(await readJobFile(await file('job.json', JSON.stringify(FIVE_LINES, null, '\t')))).toEqual(FIVE_LINES);
  });

  it.each([
    ['name: a\nname: b', 'line 2, column 1: the same key stands here for the second time'],
    ['name: a\n\ttables: []', 'line 2, column 1: '],
    ['tables: [a, b', 'line 1, column 14: the indentation does not fit — look for an open quote, [ or {'],
    ['tables:\n  - *orders', 'line 2, column 5: a value begins with *'],
    ['{"name": "a",}}', 'line 1, column 15: something is out of place'],
  ])('says line and column of a syntax error: %j', async (text, expected) => {
    const error: unknown = await readJobFile(await file('job.yaml', text)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(LonghaulError);
    expect((error as LonghaulError).message).toContain(expected);
  });

  it('says that there is no such file', async () => {
    await expect(readJobFile('/nowhere/job.yaml')).rejects.toThrow('there is no such file');
  });
});

async function file(name: string, text: string): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'longhaul-config-')), name);
  await writeFile(path, text);
  return path;
}
