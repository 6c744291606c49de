import type { Host } from './define-node.js';

/** Shows the last answer of a node that serves requests: `create → 200 in 3 ms`. */
export function showAnswers(host: Host<string>): {
  show(operation: string, status: number, tookMs: number): void;
} {
  host.status('idle', 'ready');
  return {
    show(operation, status, tookMs) {
      host.status(
        status < 400 ? 'ok' : 'warning',
        `${operation} → ${status} in ${Math.max(1, Math.round(tookMs))} ms`,
      );
    },
  };
}
