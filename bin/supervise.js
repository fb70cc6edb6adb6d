// Runs one server and ends it when whoever started us is gone, however it went (Ctrl-C, crash, SIGKILL): the kernel
// closes the pipe on our standard input in every one of these cases. Started by src/devstack/supervised.ts only.
//
// argv[2]  JSON: { command, args, cwd, uid?, gid?, stopSignal, graceMs }
// fd 0     the lifeline. A signal's name, then the end: stop with that signal. Just the end: stop with stopSignal.
// fd 1, 2  the server's log
// fd 3     JSON lines to the parent: { pid } or { error } first, { code, signal } when the server has ended
//
// It lives in bin/, not in src/, because it must be plain JavaScript at the same place for sources, dist and packages.
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';

const order = JSON.parse(process.argv[2]);
let stopping = false;

function tell(report) {
  try {
    writeSync(3, `${JSON.stringify(report)}\n`);
  } catch {
    // The parent is gone: nobody to tell.
  }
}

const server = spawn(order.command, order.args, {
  cwd: order.cwd,
  uid: order.uid,
  gid: order.gid,
  stdio: ['ignore', 'inherit', 'inherit'],
});
server.on('spawn', () => tell({ pid: server.pid }));
server.on('error', (error) => {
  tell({ error: error.message });
  process.exit(1);
});
server.on('exit', (code, signal) => {
  tell({ code, signal });
  process.exit(0);
});

/** Only the first call counts; a server that ignores it is killed after graceMs. */
function stop(signal) {
  if (stopping) return;
  stopping = true;
  server.kill(signal);
  setTimeout(() => server.kill('SIGKILL'), order.graceMs);
}

process.stdin.setEncoding('utf8');
process.stdin.on('data', (signal) => stop(signal.trim()));
for (const over of ['end', 'error', 'close']) process.stdin.on(over, () => stop(order.stopSignal));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(order.stopSignal));
