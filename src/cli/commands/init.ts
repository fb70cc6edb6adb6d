import { writeTemplates } from '../../config/index.js';
import { quote } from '../context.js';
import { EXIT } from '../exit-codes.js';
import type { Registry } from '../registry.js';

export function addInit({ command, action }: Registry): void {
  command('init [folder]', 'write longhaul.yaml, job.yaml, .env.example, and their schemas', 'longhaul init').action(
    action(async ({ screen, hint }, folder: string | undefined) => {
      const { out, err } = screen;
      const { written, kept } = await writeTemplates(folder ?? '.');
      for (const name of written) out.line(`${out.colors.green('✔ written')}  ${name}`);
      for (const name of kept) out.line(`${out.colors.dim('· kept')}     ${name} (it was there already)`);
      err.line('Next:');
      if (folder !== undefined) err.line(`  cd ${quote(folder)}`);
      err.line('  cp .env.example .env         and write your two addresses into it');
      err.line(`  ${hint('dev').padEnd(29)}in a terminal of its own`);
      err.line(`  ${hint('check', 'job.yaml').padEnd(29)}then: ${hint('run', 'job.yaml')}`);
      return EXIT.ok;
    }),
  );
}
