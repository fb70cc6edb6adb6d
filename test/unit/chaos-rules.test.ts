import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { LoadHookContext } from 'node:module';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { applyEdit } from '../chaos/rules/edit.js';
import { initialize, load } from '../chaos/rules/hooks.js';
import { NODE_ARGS, RULES, WITHOUT, without } from '../chaos/rules/rules.js';

const dist = new URL('../../dist/', import.meta.url);
const RECEIPTS = 'src/connectors/postgres/destination/receipts.js';
const ATTEMPT = 'src/connectors/postgres/destination/attempt.js';

describe('rules that can be taken out', () => {
  for (const { name, edits } of RULES) {
    test(`${name} stands in the compiled code once`, async () => {
      for (const edit of edits) {
        const source = await readFile(new URL(edit.file, dist), 'utf8');
        expect(applyEdit(source, edit)).not.toBe(source);
      }
    });
  }

  test('a text that is gone, or is there twice, is an error', () => {
    const edit = { file: 'a.js', find: 'rule();', replace: '' };
    expect(applyEdit('a(); rule(); b();', edit)).toBe('a();  b();');
    expect(() => applyEdit('a();', edit)).toThrow('dist/a.js has changed: what a rule');
    expect(() => applyEdit('rule(); rule();', edit)).toThrow('there 2 times');
  });

  test('a process has its rules, unless its environment takes one out', async () => {
    const claim = async (env: NodeJS.ProcessEnv) => {
      const script = `import { claimReceipt } from '${new URL(RECEIPTS, dist).href}'; console.log(claimReceipt.toString())`;
      const args = [...NODE_ARGS, '--input-type=module', '-e', script];
      return (await promisify(execFile)(process.execPath, args, { env: { ...process.env, ...env } })).stdout;
    };
    expect(await claim({})).toContain('ON CONFLICT DO NOTHING');
    expect(await claim(without('receipt-conflict'))).toContain('DO UPDATE SET attempt = excluded.attempt');
    await expect(claim({ [WITHOUT]: 'gravity' })).rejects.toThrow('gravity is none of');
  });

  test('a module that is not as its rule expects does not load', async () => {
    await initialize([{ file: RECEIPTS, find: 'no such rule', replace: '' }]);
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the types of Node 20 ask for both
    const context: LoadHookContext = { format: 'module', conditions: [], importAttributes: {}, importAssertions: {} };
    const next = () => ({ format: 'module' as const, source: 'export {}' });
    await expect(load(hookedUrl(RECEIPTS), context, next)).rejects.toThrow('not there: no such rule');
    await expect(load(hookedUrl(ATTEMPT), context, next)).resolves.toMatchObject({ source: 'export {}' });
  });
});

/** Where the hooks look for dist/ when they are not compiled: beside them. */
function hookedUrl(file: string): string {
  return new URL(`../../${file}`, import.meta.url).href;
}
