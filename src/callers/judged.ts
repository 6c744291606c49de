import type { IncomingMessage } from 'node:http';
import type { KnownCaller } from './caller.js';

/** By request, and not on it: nothing that a caller sends can look like a judgement. */
const judged = new WeakMap<object, KnownCaller>();

/** Said by who has seen the credentials: the gate in front of Node-RED, or an `api-guard`. */
export function markCaller(request: IncomingMessage, caller: KnownCaller): void {
  judged.set(request, caller);
}

/** Undefined: nobody has judged this request yet. */
export function judgedCaller(request: object): KnownCaller | undefined {
  return judged.get(request);
}
