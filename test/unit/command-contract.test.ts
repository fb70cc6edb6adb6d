import { afterAll, describe, it } from 'vitest';
import { createCommandConnector } from '../../src/connectors/command/index.js';
import type { TableSpec } from '../../src/core/model.js';
import { sourceChecks } from '../../src/testing/source-checks.js';
import { Commands } from '../support/command.js';

const commands = await Commands.make();
afterAll(() => commands[Symbol.asyncDispose]());

/** As many rows as the query says. */
const PROGRAM = `#!/bin/sh
case "$LONGHAUL_QUERY" in *[!0-9]*) exit 65;; esac
seq 1 "$LONGHAUL_QUERY" > "$LONGHAUL_OUT"
`;
const run = [commands.at(await commands.program('rows', PROGRAM))] as const;

const spec: TableSpec = {
  ...{ table: 'orders', to: 'orders', mode: 'replace', partition: { by: 'auto' } },
  queries: [{ id: 'a', sql: '200000' }],
  declared: [{ name: 'id', type: 'bigint' }],
};

describe.each(['csv', 'rows'] as const)('a program that is read as %s keeps the contract of sources', (format) => {
  const rejects = format === 'rows' ? { rejects: { max: 1 } } : {};
  const connector = createCommandConnector(commands.config({ run }));
  const wrongQuery = { id: 'wrong', sql: 'wrong' };
  for (const check of sourceChecks({ connector, spec: { ...spec, ...rejects }, wrongQuery })) it(check.name, check.run);
});
