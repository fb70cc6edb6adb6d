import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SourceTable } from '../../src/connectors/types.js';
import type { Partition, TableSpec } from '../../src/core/model.js';
import { defineSource, FatalError } from '../../src/index.js';
import { batchesOf, entry, moduleFile, openScene, QUERY, recordOf, sceneOf } from '../support/modules.js';

const HEAD = `import { defineSource, RetryableError, type SourceRow } from 'longhaul';\n`;
const GOOD = `${HEAD}import { table } from './table.js';
const rows: SourceRow[] = [{ a: table }];
export default defineSource({
  open: ({ options }) => ({ fails: options.fails, async [Symbol.asyncDispose]() {} }),
  async *stream(session) {
    yield rows;
    if (session.fails) throw new RetryableError('told to');
  },
});`;
const TABLE = { 'table.ts': `export const table: string = 'orders';` };

describe('a module of a user', () => {
  it('is TypeScript in a folder of its own, without node_modules, and knows this very package', async () => {
    const config = moduleFile(GOOD, TABLE);
    expect((await batchesOf(await openScene(config), ['a']))[0]!.rows).toEqual([['orders']]);
    const failing = openScene({ ...config, options: { fails: true } });
    await expect(batchesOf(await failing, ['a'])).rejects.toMatchObject({
      code: 'SourceFailed',
      message: 'Query q017 of connection "api" failed in ./erp.ts: told to.',
    });
  });

  it('is loaded once: a changed file is read after a restart', async () => {
    const config = moduleFile(GOOD, TABLE);
    await batchesOf(await openScene(config), ['a']);
    writeFileSync(config.path, 'throw new Error("changed")');
    expect(await batchesOf(await openScene(config), ['a'])).toHaveLength(1);
  });

  it('shows where it failed, by the lines of its file', async () => {
    const text = `${HEAD}export default defineSource({
      open: () => ({}),
      async *stream() {
        const rows: number[] | undefined = undefined as never;

        yield [{ a: rows!.length }];
      },
    });`;
    const config = moduleFile(text);
    const error = (await batchesOf(await openScene(config), ['a']).catch((caught: unknown) => caught)) as Error;
    expect((error.cause as Error).stack).toContain(`${config.path}:7:`);
  });

  const ADVICE = 'correct it and restart the workers';
  it.each<[string, string, string, string]>([
    ['throws', 'const token = "x"; throw new Error("no tunnel");', `can't be loaded: no tunnel`, ADVICE],
    ['has a mistake of syntax', 'const x = ;', `can't be loaded: ParseError: Unexpected token`, ADVICE],
    ['imports what is not there', `import './none.js';`, `can't be loaded: Cannot find module './none.js'`, ADVICE],
    [
      'exports nothing',
      'export const a = 1;',
      'exports no source as its default',
      'let it export default defineSource({open',
    ],
    ['exports half a source', 'export default { open() {} };', 'exports a source without stream', 'let it export'],
    [
      'exports a wrong plan',
      'export default { open() {}, stream() {}, plan: 1 };',
      'exports a source whose plan is no function',
      'let it',
    ],
  ])('that %s is a finding of a check', async (_, text, message, fix) => {
    const scene = await openScene(moduleFile(text));
    const [finding, ...more] = await scene.session.checkServer({ sessions: 1 });
    expect(more).toEqual([]);
    expect(finding!.message).toContain(`the module ./erp.ts of connection "api" ${message}`);
    expect(finding!.message).not.toMatch(/\n|\bat .*:\d|Require stack/);
    expect(finding!.fix).toContain(fix);
    expect(await scene.session.describe(entry())).toEqual({ findings: [] });
  });

  it('that is corrected is found by the next attempt; till then a copy waits', async () => {
    const config = moduleFile('throw new Error("early")');
    const broken = await openScene(config);
    await expect(broken.session.stream(recordOf(['a']), QUERY)).rejects.toMatchObject({ code: 'ConnectionFailed' });
    writeFileSync(config.path, `export default { open() {}, stream: () => [{ a: 1 }] };`);
    expect((await batchesOf(await openScene(config), ['a']))[0]!.rows).toEqual([[1]]);
  });
});

const COLUMNS = [
  { name: 'id', type: 'bigint' },
  { name: 'Amount', type: 'NUMERIC(12,2)' },
];
const described = defineSource({
  open: () => ({}),
  describe: () => ({ columns: COLUMNS, primaryKey: ['id'] }),
  *plan(_, { table }) {
    yield { id: '2024', query: `${table}/2024` };
    yield { id: '2025', query: `${table}/2025`, estimatedRows: 7 };
  },
  stream: () => [],
});
const plain = defineSource({ open: () => ({}), stream: () => [] });
const RELATION = { table: 'public.orders', from: 'public.orders' };

describe('a description', () => {
  const ask = async (source: typeof plain | typeof described, spec: TableSpec) =>
    (await sceneOf(source as typeof plain)).session.describe(spec);
  const problems = async (source: typeof plain | typeof described, spec: TableSpec) =>
    (await ask(source, spec)).findings.map(({ path, message, fix }) => `${path}: ${message} — ${fix}`);

  it('is the module’s where the job declares nothing', async () => {
    expect((await ask(described, entry())).table).toEqual<SourceTable>({
      shape: {
        system: 'declared',
        columns: [
          { name: 'id', type: 'bigint', definition: 'bigint', notNull: false, generated: false },
          { name: 'Amount', type: 'NUMERIC(12,2)', definition: 'numeric(12,2)', notNull: false, generated: false },
        ],
        primaryKey: ['id'],
      },
      columns: ['id', 'Amount'],
      formats: ['rows'],
      identity: 'module/api',
    });
  });

  it('is the job’s where it declares columns, as long as the module has them', async () => {
    const { table } = await ask(described, entry({ declared: [{ name: 'Amount', type: 'text' }] }));
    expect(table).toMatchObject({ columns: ['Amount'], shape: { columns: [{ type: 'text' }], primaryKey: [] } });
    expect(await problems(described, entry({ declared: [{ name: 'amount', type: 'text' }] }))).toEqual([
      'columns.amount: there is no column "amount" — did you mean "Amount"?',
    ]);
  });

  it('is the target’s where nobody says anything', async () => {
    expect((await ask(plain, entry())).table).toMatchObject({ inferred: true, columns: [], shape: { columns: [] } });
  });

  it('leaves out what an entry doesn’t choose', async () => {
    const spec = entry({ ...RELATION, columns: ['id'] });
    delete (spec as { queries?: unknown }).queries;
    expect((await ask(described, spec)).table!.columns).toEqual(['id']);
  });

  it('is refused for what a module can’t do', async () => {
    const { queries: _, ...spec } = entry({ ...RELATION, where: 'x', exclude: ['a'], partition: { by: ['id'] } });
    expect(await problems(plain, spec)).toEqual([
      "from: ./erp.ts has no plan, so it can't cut a table — write queries: [{id, sql}], or give the module a plan",
      'where: a module reads no conditions — take it out: plan says which rows are read',
      'partition.by: a module cuts its tables itself — take it out',
    ]);
  });

  it('is refused when it is none, or the module refuses it', async () => {
    const of = (describe: () => never) => defineSource({ open: () => ({}), describe, stream: () => [] });
    const wrong = of(() => ({ columns: [{ name: 'a' }] }) as never);
    expect(await problems(wrong, entry())).toEqual([
      ': describe of ./erp.ts answered without a list of {name, type} for table orders — correct the module and restart the workers.',
    ]);
    const twice = of(() => ({ columns: [COLUMNS[0], COLUMNS[0]] }) as never);
    expect((await problems(twice, entry()))[0]).toContain('answered with column "id" twice');
    const refusing = of(() => {
      throw new FatalError('no such view');
    });
    expect((await problems(refusing, entry()))[0]).toContain(
      ': describing table orders of connection "api" was refused by ./erp.ts: no such view',
    );
  });
});

describe('a plan', () => {
  async function planOf(source: typeof plain | typeof described, spec: TableSpec): Promise<Partition[]> {
    const scene = await sceneOf(source as typeof plain);
    const partitions: Partition[] = [];
    for await (const each of (await scene.session.plan({ ...recordOf([]), spec })).partitions) partitions.push(each);
    return partitions;
  }
  const { queries: _, ...relation } = entry(RELATION);

  it('is the job’s queries, or the module’s', async () => {
    expect(await planOf(described, entry())).toEqual([QUERY]);
    expect(await planOf(described, relation)).toEqual([
      { ordinal: 0, label: '2024', predicate: 'orders/2024' },
      { ordinal: 1, label: '2025', predicate: 'orders/2025', estimatedRows: 7 },
    ]);
  });

  it('is refused when it would read rows twice, or is none', async () => {
    const of = (...partitions: unknown[]) =>
      planOf(
        defineSource({ open: () => ({}), plan: () => partitions as { id: string; query: string }[], stream: () => [] }),
        relation,
      );
    await expect(of({ id: 'a', query: '1' }, { id: 'a', query: '2' })).rejects.toMatchObject({
      code: 'SourceRefused',
      message: 'plan of ./erp.ts gave id a twice for table public.orders; nothing was copied.',
    });
    await expect(of({ id: 1, query: '1' })).rejects.toThrow('gave something that is not {id, query}, both texts');
    const nothing = defineSource({ open: () => ({}), plan: () => undefined as never, stream: () => [] });
    await expect(planOf(nothing, relation)).rejects.toThrow('plan of ./erp.ts answered with nothing to iterate');
  });

  it('is not made of patterns', async () => {
    await expect((await sceneOf(plain)).session.expand('sales.*')).rejects.toMatchObject({ code: 'JobInvalid' });
  });
});
