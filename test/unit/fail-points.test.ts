import { ESLint } from 'eslint';
import { afterEach, describe, expect, it } from 'vitest';
import { FAIL_POINTS, armFailPoints, reach, type FailPoint } from '../../src/core/fail-points.js';

afterEach(() => armFailPoints(undefined));

/** Of one rule, which asks for no types: reading the whole program for them takes its time. */
const eslint = new ESLint({
  ruleFilter: ({ ruleId }) => ruleId === 'no-restricted-syntax',
  overrideConfig: { languageOptions: { parserOptions: { projectService: false } } },
});

describe('fail points', () => {
  it('are nothing to wait for until they are armed, and again afterwards', async () => {
    const met: FailPoint[] = [];
    expect(reach('copy: before lock')).toBeUndefined();
    armFailPoints((point) => (met.push(point), point === 'copy: before COMMIT' ? Promise.resolve() : undefined));
    expect(reach('copy: before lock')).toBeUndefined();
    await expect(reach('copy: before COMMIT')).resolves.toBeUndefined();
    armFailPoints(undefined);
    expect(reach('copy: before COMMIT')).toBeUndefined();
    expect(met).toEqual(['copy: before lock', 'copy: before COMMIT']);
  });

  it('have a name each', () => {
    expect(new Set(FAIL_POINTS).size).toBe(FAIL_POINTS.length);
  });

  it.each([
    `import { armFailPoints } from '../core/fail-points.js'; armFailPoints(undefined);`,
    `import { armFailPoints as harmless } from '../core/fail-points.js'; harmless(undefined);`,
    `import * as points from '../core/fail-points.js'; points.armFailPoints(undefined);`,
    `export { armFailPoints } from '../core/fail-points.js';`,
    `export * from '../core/fail-points.js';`,
    `export const points = await import('../core/fail-points.js');`,
  ])('are armed by no code of the product: %s', async (code) => {
    for (const filePath of ['src/worker/run.ts', 'activities/index.ts', 'bin/longhaul.js']) {
      const [result] = await eslint.lintText(code, { filePath });
      expect(result?.messages.map(({ message }) => message)).toEqual(['Nothing but a test arms fail points.']);
    }
  });
});
