import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { compileWorkerConfig } from '../../src/config/worker-config.js';

interface Compose {
  readonly services: Readonly<
    Record<string, { image?: string; environment?: Record<string, string>; ports?: string[] }>
  >;
}

const root = join(import.meta.dirname, '..', '..');
const read = (file: string): unknown => parse(readFileSync(join(root, file), 'utf8'), { merge: true });
const { services } = read('docker-compose.yml') as Compose;

test("the worker's configuration is right with the variables that the compose file gives it", () => {
  const config = compileWorkerConfig(
    read('deploy/longhaul.yaml'),
    join(root, 'deploy/longhaul.yaml'),
    services.worker!.environment!,
  );
  expect([...config.connections.keys()]).toEqual(['source', 'destination']);
  expect(config.connections.get('source')).toMatchObject({ host: 'source', port: 5432, database: 'source' });
});

test('the compose file has no password, no image without a version, and no port for other machines', () => {
  for (const { image, environment = {}, ports = [] } of Object.values(services)) {
    for (const [name, value] of Object.entries(environment)) {
      if (/PASSWORD|PWD/.test(name)) expect(value).toMatch(/^\$\{\w+:\?set \w+ in \.env\}$/);
    }
    expect(image).toMatch(/:\d+\.\d+(\.\d+)?(-\w+)?$/);
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  }
});
