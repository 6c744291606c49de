/** A listener in a process of its own, so that it can be stopped; `deaf`: it never reads. Exits with its close code less 1000. */
import { WebSocket } from 'ws';

const ws = new WebSocket(process.argv[2] ?? '');
ws.on('open', () => {
  if (process.argv[3] === 'deaf') ws.pause();
  process.send?.('open');
  // A socket that nobody reads keeps no process alive.
  process.on('message', () => undefined);
});
ws.on('error', () => undefined);
ws.on('close', (code) => process.exit(code - 1000));
