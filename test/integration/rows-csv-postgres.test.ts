import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Client, type DatabaseError } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { passCsv, readCsv } from '../../src/connectors/rows/index.js';
import { startTestPostgres, type TestPostgres } from '../support/postgres.js';
import { collect, input, iterate, readOptions } from '../support/rows.js';

const DIALECT = { header: false, delimiter: ',' };
const OPTIONS = readOptions({ a: 'text', b: 'text' });

/** What is a record to some and none to others, mixed with what is one to all. */
const field = fc.constantFrom(
  '',
  'x',
  'é',
  ' ',
  '""',
  '"a,b"',
  '"p\nq"',
  '"r\r\ns"',
  '"t""u"',
  '\\.',
  '\\N',
  '"\\.\n"',
);
const record = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(field, field).map((fields) => fields.join(',')) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', '\\.'), maxLength: 8 }) },
);
const content = fc
  .tuple(fc.array(record, { maxLength: 8 }), fc.constantFrom('\n', '\r\n'))
  .map(([records, lineBreak]) => records.map((each) => each + lineBreak).join(''));

describe('CSV on its way to Postgres', () => {
  let postgres: TestPostgres;
  let client: Client;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'longhaul-csv-'));
    await chmod(folder, 0o755); // for the server, which may be another user
    postgres = await startTestPostgres();
    client = new Client(await postgres.createDatabase('rows_csv'));
    await client.connect();
    await client.query('CREATE TABLE copied (n serial, a text, b text)');
  });
  afterAll(async () => {
    await client.end();
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** What passCsv lets through, or undefined if it refuses it. */
  async function passed(text: string) {
    const stream = await passCsv(iterate([input(text)]), DIALECT, OPTIONS);
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of stream) chunks.push(Buffer.from(chunk));
    } catch {
      return undefined;
    }
    return { bytes: Buffer.concat(chunks), rows: await stream.rows, place: (line: number) => stream.place!(line).line };
  }

  /** Rows as the server has them, or the line of its error. */
  async function copied(bytes: Buffer) {
    const path = join(folder, 'copied.csv');
    await writeFile(path, bytes);
    await client.query('TRUNCATE copied RESTART IDENTITY');
    try {
      await client.query(`COPY copied (a, b) FROM '${path}' (FORMAT csv)`);
    } catch (error) {
      return { line: Number(/line (\d+)/.exec((error as DatabaseError).where ?? '')?.[1]) };
    }
    const { rows } = await client.query<string[]>({ text: 'SELECT a, b FROM copied ORDER BY n', rowMode: 'array' });
    return { rows };
  }

  it('is counted, read and placed as Postgres does', async () => {
    const seen = { copied: 0, refusedByServer: 0, refusedHere: 0 };
    const property = fc.asyncProperty(content, async (text) => {
      const here = await passed(text);
      if (here === undefined) {
        seen.refusedHere++;
        return;
      }
      const { rows, malformed } = await collect(readCsv(iterate([input(text)]), DIALECT, OPTIONS));
      const there = await copied(here.bytes);
      if (there.rows !== undefined) {
        seen.copied++;
        expect(there.rows.length).toBe(here.rows);
        if (malformed.length === 0) expect(there.rows).toEqual(rows);
        return;
      }
      seen.refusedByServer++;
      expect(malformed).not.toEqual([]);
      // Postgres forgives quotes at odd places, and ends lines at carriage returns.
      if (malformed.some(({ error }) => /quote|carriage/.test(error))) return;
      const { place, raw } = malformed[0]!;
      expect(here.place(there.line)).toBeGreaterThanOrEqual(place.line);
      expect(here.place(there.line)).toBeLessThanOrEqual(place.line + raw.split('\n').length - 1);
    });
    await fc.assert(property, { numRuns: 600 });
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });
});
