import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileWorkerConfig, expandTables, parseJob } from '../../src/config/index.js';
import { parseYaml } from '../../src/config/yaml.js';

/** The YAML blocks of a page, parsed. */
function examples(page: string): unknown[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => parseYaml(yaml!).value);
}

describe('the examples of the docs', () => {
  it('are jobs', async () => {
    const jobs = await Promise.all(
      examples('job-file.md').map((raw) =>
        expandTables(parseJob(raw), () => Promise.resolve(['sales.orders', 'sales.a'])),
      ),
    );
    expect(jobs).toHaveLength(2);
    expect(jobs.flatMap(({ problems, warnings }) => [...problems, ...warnings])).toEqual([]);
    expect(jobs[1]!.job!.tables.map(({ to }) => to)).toEqual([
      ...['dw.sales_a', 'dw.public_customers', 'dw.sales_orders', 'dw.audit', 'dw.erp_invoices'],
    ]);
  });

  it.each(['lake.md', '../README.md'])('are jobs that go to a lake: %s', async (page) => {
    const raw = (examples(page) as object[]).find((each) => 'destination' in each && each.destination === 'lake');
    const { job, problems, warnings } = await expandTables(parseJob(raw), () => Promise.resolve([]));
    expect([...problems, ...warnings]).toEqual([]);
    expect(job!.tables.map(({ to, partitionBy }) => [to, partitionBy])).toEqual([
      ['bronze.orders', ['region']],
      ['bronze.customers', undefined],
    ]);
  });

  it('are a configuration', () => {
    const [raw] = examples('configuration.md') as [{ connections: { warehouse: { tls: { ca?: string } } } }];
    delete raw.connections.warehouse.tls.ca;
    const env = { SHOP_URL: 'postgres://u@localhost/shop', DW_PASSWORD: 'x' };
    expect(compileWorkerConfig(raw, '/etc/longhaul.yaml', env).connections.size).toBe(2);
  });
});
