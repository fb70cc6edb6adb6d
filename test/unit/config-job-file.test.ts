import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readJobFile } from '../../src/config/index.js';
import { LonghaulError } from '../../src/core/errors.js';

const FIVE_LINES = { name: 'nightly', source: 'shop', destination: 'warehouse', tables: ['public.orders'] };

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
