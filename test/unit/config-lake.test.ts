import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { compileWorkerConfig, ConfigError, connectionsJsonSchema } from '../../src/config/index.js';
import { parseYaml } from '../../src/config/yaml.js';
import type { LakeConnectionConfig } from '../../src/connectors/lake/config.js';
import type { S3Location } from '../../src/connectors/objects/location.js';

const SECRET = 'hunter2';

function compile(keys: object, env: Record<string, string> = {}, file = '/etc/longhaul/longhaul.yaml') {
  const config = compileWorkerConfig({ connections: { lake: { type: 'delta', ...keys } } }, file, env);
  return config.connections.get('lake') as LakeConnectionConfig;
}

function failure(keys: object, file?: string): string {
  try {
    compile(keys, {}, file);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.slice(error.message.indexOf('\n') + 1);
    throw error;
  }
  throw new Error('nothing was refused');
}

const S3 = { path: 's3://lake/bronze' };
const KEYS = { accessKeyId: 'me', secretAccessKey: SECRET };

describe('a connection of type delta or parquet', () => {
  it('is a folder beside the file, with defaults', () => {
    expect(compile({ path: './lake' })).toEqual({
      ...{ type: 'delta', name: 'lake', location: { kind: 'local', path: '/etc/longhaul/lake' } },
      ...{ compression: 'zstd', targetFileSize: 128 * 1024 * 1024, outOfRange: 'error' },
    });
    expect(compile({ type: 'parquet', path: '/srv/lake/' }).location).toEqual({ kind: 'local', path: '/srv/lake' });
  });

  it('says how files are written', () => {
    const keys = { path: 'lake', compression: 'snappy', targetFileSize: '1GB', outOfRange: null };
    expect(compile(keys)).toMatchObject({ compression: 'snappy', targetFileSize: 1024 ** 3, outOfRange: 'null' });
    expect(compile({ path: 'lake', outOfRange: 'null' }).outOfRange).toBe('null');
  });

  it.each([
    ['s3://lake', ''],
    ['s3://lake/', ''],
    ['s3://lake/a/b/', 'a/b'],
  ])('is a bucket: %s', (path, prefix) => {
    expect(compile({ path }).location).toMatchObject({ kind: 's3', bucket: 'lake', prefix });
    expect(compile({ path }).location).not.toHaveProperty('credentials');
  });

  it('has an endpoint and credentials of its own, from references', () => {
    const s3 = { endpoint: 'https://minio:9000', region: 'eu', pathStyle: false, ...KEYS, sessionToken: '${TOKEN}' };
    expect(compile({ ...S3, s3 }, { TOKEN: 'token' }).location).toMatchObject({
      ...{ kind: 's3', bucket: 'lake', prefix: 'bronze', endpoint: 'https://minio:9000', region: 'eu' },
      ...{ pathStyle: false, credentials: { ...KEYS, sessionToken: 'token' } },
    });
  });

  it('prints no secret', () => {
    const given = compile({ ...S3, s3: { ...KEYS, sessionToken: `${SECRET}-token` } });
    expect((given.location as S3Location).credentials?.secretAccessKey).toBe(SECRET);
    for (const value of [given, { ...given }, given.location, { ...given.location }, [{ deep: { given } }]]) {
      for (const text of [JSON.stringify(value), inspect(value, { depth: 9, showHidden: true })])
        expect(text).not.toContain(SECRET);
    }
  });

  it.each<[string, object, string]>([
    ['no path', {}, 'lake.path: is missing — write a folder, as seen'],
    ['an empty path', { path: '' }, 'lake.path: is empty — write a folder'],
    ['a path of another kind', { path: 7 }, 'lake.path: is not a path'],
    ['another store', { path: 'gs://a/b' }, 'lake.path: is of a kind of store that is unknown here'],
    ['the home folder', { path: '~/lake' }, 'lake.path: begins with ~'],
    ['a URL that lacks a slash', { path: 's3:/lake/a' }, 'lake.path: looks like a URL that lacks a slash'],
    ['the root of the disk', { path: '/' }, "lake.path: is the disk's root"],
    ['no bucket', { path: 's3://' }, 'lake.path: has no name of a bucket'],
    ['a bucket that is none', { path: 's3://-a/b' }, 'lake.path: has no name of a bucket'],
    ['a directory bucket', { path: 's3://lake--use1-az4--x-s3/b' }, 'lake.path: is a directory bucket'],
    ['an empty part', { path: 's3://lake/a//b' }, 'lake.path: holds an empty part'],
    ['a part that leads up', { path: 's3://lake/../b' }, 'lake.path: holds an empty part, . or ..'],
    ['s3 beside a folder', { path: 'lake', s3: {} }, 'lake.s3: stands beside a folder'],
    ['half of the keys', { ...S3, s3: { accessKeyId: 'a' } }, 'lake.s3.secretAccessKey: is missing'],
    ['a token alone', { ...S3, s3: { sessionToken: SECRET } }, 'lake.s3.accessKeyId: is missing'],
    ['an endpoint that is none', { ...S3, s3: { endpoint: 'minio:9000' } }, 'lake.s3.endpoint: is not a URL'],
    ['a password in it', { ...S3, s3: { endpoint: `https://a:${SECRET}@b` } }, 'lake.s3.endpoint: holds a user'],
    ['a query in it', { ...S3, s3: { endpoint: `https://b/?${SECRET}` } }, 'lake.s3.endpoint: holds a query'],
    ['an unknown key', { ...S3, s3: { regoin: 'eu' } }, 'lake.s3.regoin: unknown key — did you mean "region"?'],
    ['another compression', { ...S3, compression: 'gzip' }, 'is not one of zstd, snappy'],
    ['a size without a unit', { ...S3, targetFileSize: 128 }, 'lake.targetFileSize: is not a size'],
    ['files that are too small', { ...S3, targetFileSize: '1KB' }, 'lake.targetFileSize: is out of bounds'],
    ['files that are too large', { ...S3, targetFileSize: '1TB' }, 'lake.targetFileSize: is out of bounds'],
    ['another policy', { ...S3, outOfRange: 'clamp' }, 'is not one of error, null'],
  ])('refuses %s', (_, keys, message) => {
    const said = failure(keys);
    expect(said).toContain(message);
    expect(said).not.toContain(SECRET);
  });

  it('refuses a file in the place of a folder', () => {
    const folder = mkdtempSync(join(tmpdir(), 'longhaul-config-'));
    writeFileSync(join(folder, 'lake'), '');
    expect(failure({ path: 'lake' }, join(folder, 'longhaul.yaml'))).toContain('lake.path: is a file, not a folder');
  });

  it('is told of all its mistakes at once', () => {
    const said = failure({ path: 's3:///x//y', s3: { endpoint: 'x', accessKeyId: 'a' } });
    for (const path of ['lake.path: has no', 'lake.path: holds', 'lake.s3.endpoint', 'lake.s3.secretAccessKey'])
      expect(said).toContain(path);
  });

  it('is as docs/lake.md has it', () => {
    const page = readFileSync(new URL('../../docs/lake.md', import.meta.url), 'utf8');
    const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => parseYaml(yaml!).value as object);
    const validate = new Ajv2020({ strict: false }).compile(connectionsJsonSchema());
    const env = { SHOP_URL: 'postgres://u@localhost/shop', MINIO_KEY: 'me', MINIO_SECRET: SECRET };
    const names = blocks
      .filter((raw) => 'connections' in raw)
      .map((raw) => {
        expect(validate(raw)).toBe(true);
        return [...compileWorkerConfig(raw, '/etc/longhaul.yaml', env).connections.keys()];
      });
    expect(names).toEqual([
      ['shop', 'lake'],
      ['disk', 'lake', 'minio'],
    ]);
  });

  it('is in the JSON Schema', () => {
    const validate = new Ajv2020({ strict: false }).compile(connectionsJsonSchema());
    const lake = { type: 'parquet', ...S3, s3: { ...KEYS, pathStyle: true }, outOfRange: null };
    expect(validate({ connections: { lake } })).toBe(true);
    expect(validate({ connections: { lake: { ...lake, targetSize: '1MB' } } })).toBe(false);
  });
});
