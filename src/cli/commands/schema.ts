import { connectionsJsonSchema, jobJsonSchema } from '../../config/index.js';
import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';

export function addSchema({ command, action }: Registry): void {
  command(
    'schema',
    'print the JSON Schema of job files',
    'longhaul schema > job.schema.json\n\n' +
      'An editor finds it by the first line of a file:\n' +
      '# yaml-language-server: $schema=job.schema.json\n' +
      '`longhaul init` writes both schemas, and writes them anew when they are there already.',
  )
    .option('--connections', 'of longhaul.yaml instead')
    .action(
      action(({ screen }, { connections }: { connections?: boolean }) => {
        const schema = connections ? connectionsJsonSchema() : jobJsonSchema();
        screen.out.line(JSON.stringify(schema, undefined, 2));
        return Promise.resolve(EXIT.ok);
      }),
    );
}
