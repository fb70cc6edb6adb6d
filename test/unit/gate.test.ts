import { expect, test } from 'vitest';
import { Gate } from '../../src/connectors/gate.js';

const never = new AbortController().signal;

test('as many as the size are inside; the others enter in their order as places get free', async () => {
  const gate = new Gate(1);
  const first = (await gate.enter(0, never))!;
  const entered: string[] = [];
  const enter = async (name: string) => {
    const leave = (await gate.enter(60_000, never))!;
    entered.push(name);
    return leave;
  };
  const [second, third] = [enter('second'), enter('third')];
  first();
  first(); // gives back nothing more
  const leave = await second;
  expect(entered).toEqual(['second']);
  leave();
  (await third)();
  expect(await gate.enter(0, never)).toBeTypeOf('function');
});

test('who waited too long or was aborted takes no place when one gets free', async () => {
  const gate = new Gate(1);
  const first = (await gate.enter(0, never))!;
  expect(await gate.enter(1, never)).toBeUndefined();
  const abort = new AbortController();
  const waiting = gate.enter(60_000, abort.signal);
  const reason = new Error('stop');
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  first();
  expect(await gate.enter(0, never)).toBeTypeOf('function');
});
