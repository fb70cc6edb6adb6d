import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { compileWorkerConfig, ConfigError } from '../../src/config/index.js';

const PARTS = { type: 'databricks', host: 'adb-1.2.azuredatabricks.net', warehouse: 'abc123', token: 'dapi-secret' };

function compiled(more: object = {}) {
  const raw = { connections: { lake: { ...PARTS, ...more } } };
  return compileWorkerConfig(raw, '/etc/longhaul.yaml', {}).connections.get('lake')!;
}

function failure(more: object): string {
  try {
    compiled(more);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.slice(error.message.indexOf('\n') + 1);
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a connection of type databricks', () => {
  it('is a workspace, a warehouse and, for a destination, a volume', () => {
    expect({ ...compiled() }).toMatchObject({ host: 'https://adb-1.2.azuredatabricks.net', warehouseId: 'abc123' });
    expect(compiled({ host: 'https://x.cloud.databricks.com/', volume: 'main.landing.files' })).toMatchObject({
      host: 'https://x.cloud.databricks.com',
      volume: { catalog: 'main', schema: 'landing', volume: 'files', folder: 'longhaul' },
    });
  });

  it('writes files as other lakes do', () => {
    expect(compiled()).toMatchObject({ compression: 'zstd', targetFileSize: 128 * 2 ** 20, outOfRange: 'error' });
    const given = { compression: 'snappy', targetFileSize: '64MB', outOfRange: null };
    expect(compiled(given)).toMatchObject({ ...given, targetFileSize: 64 * 2 ** 20, outOfRange: 'null' });
  });

  it('prints no secret', () => {
    const client = { token: undefined, clientId: 'me', clientSecret: 'very-secret' };
    for (const connection of [compiled(), compiled(client)])
      expect(`${inspect(connection, { depth: 9 })}${JSON.stringify(connection)}`).not.toMatch(
        /dapi-secret|very-secret/,
      );
    expect(compiled(client)).toMatchObject({ client: { id: 'me', secret: 'very-secret' } });
  });

  it.each([
    [{ token: undefined }, /token: is missing/],
    [{ clientId: 'me' }, /token: stands beside/],
    [{ token: undefined, clientId: 'me' }, /clientSecret: is missing/],
    [{ host: 'http://adb-1.2.azuredatabricks.net' }, /host: is not the host/],
    [{ host: 'https://me:pass@x.net/sql?o=1' }, /host: is not the host/],
    [{ warehouse: '/sql/1.0/warehouses/abc' }, /warehouse: not a warehouse's id/],
    [{ volume: '/Volumes/a/b/c' }, /volume: not a volume/],
    [{ volume: 'a.b' }, /volume: not a volume/],
    [{ folder: '../x' }, /folder: not a folder/],
    [{ targetFileSize: '5GB' }, /targetFileSize: is more than the Files API takes/],
    [{ compression: 'gzip' }, /compression: /],
  ])('%j is refused', (more, message) => {
    expect(failure(more)).toMatch(message);
  });
});
