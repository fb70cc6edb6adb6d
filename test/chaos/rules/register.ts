import { register } from 'node:module';
import { ruleOf, WITHOUT } from './rules.js';

/** For `node --import`: what the environment names is taken out of this process's code when that is loaded. */
const names = process.env[WITHOUT];
if (names) register('./hooks.js', import.meta.url, { data: names.split(',').flatMap((name) => ruleOf(name).edits) });
