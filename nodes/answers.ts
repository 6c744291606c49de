import type { Host, Message, Outputs } from './define-node.js';
import { answer, refusal } from './outcome.js';

/** What a request came to. */
export interface Served {
  readonly payload: unknown;
  /** 200 when absent. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** How a node answers requests, and shows its last answer: `create → 200 in 3 ms`. */
export interface Answers {
  show(operation: string, status: number, tookMs: number): void;
  /**
   * Sends what the work comes to through `result`, and what the caller got wrong through `refused`. Throws every
   * other failure, for Catch.
   */
  serve(
    operation: string,
    message: Message,
    emit: (outputs: Outputs<'result' | 'refused'>) => void,
    work: () => Promise<Served>,
  ): Promise<void>;
}

export function showAnswers(host: Host<string>): Answers {
  host.status('idle', 'ready');
  const show: Answers['show'] = (operation, status, tookMs) =>
    host.status(
      status < 400 ? 'ok' : 'warning',
      `${operation} → ${status} in ${Math.max(1, Math.round(tookMs))} ms`,
    );
  return {
    show,
    async serve(operation, message, emit, work) {
      const begun = performance.now();
      try {
        const { payload, status = 200, headers } = await work();
        const result = answer(message, 'result', status, payload);
        show(operation, status, performance.now() - begun);
        emit({ result: headers === undefined ? result : { ...result, headers } });
      } catch (error) {
        const refused = refusal(message, error);
        show(operation, Number(refused['statusCode']), performance.now() - begun);
        emit({ refused });
      }
    },
  };
}
