import type { Message } from './define-node.js';

/** What of Node-RED's `msg.res` counts here: the response of Express. */
interface Response {
  readonly writableEnded: boolean;
  readonly destroyed: boolean;
  once(event: 'close', listener: () => void): void;
}

/** Aborted when whoever waits at the other end of an `http in` hangs up; undefined for a message without one. */
export function hungUp(message: Message): AbortSignal | undefined {
  const response = (message['res'] as { readonly _res?: Response } | undefined)?._res;
  if (response === undefined) return undefined;
  const gone = new AbortController();
  if (response.destroyed && !response.writableEnded) gone.abort();
  response.once('close', () => {
    // It closes after an answer, too.
    if (!response.writableEnded) gone.abort();
  });
  return gone.signal;
}
