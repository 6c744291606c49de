import { setTimeout as pause } from 'node:timers/promises';

/** The instance under test, as its API shows it. */
export interface TrialHouse {
  readonly url: string;
  /** JSON in and out. Waits when it is told to come back later. @throws Error unless the status is one of `good` */
  ask<T>(method: string, path: string, body?: object, more?: Asked): Promise<T>;
  /** Looks every 200 ms until `found` gives something. @throws Error naming `what` when the time is over */
  until<T>(what: string, found: () => Promise<T | undefined>): Promise<T>;
  /** @throws Error naming `what` when the work is not done in time */
  within<T>(what: string, work: Promise<T>): Promise<T>;
}

interface Asked {
  readonly good?: readonly number[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Also when the time is over, and then within this one. */
  readonly end?: AbortSignal;
  /** Of the good answer. */
  readonly onHeaders?: (headers: Headers) => void;
}

/** One time for all houses of a trial. */
let endOfAll: AbortSignal | undefined;

/**
 * By environment: BASE_URL (http://127.0.0.1:1880); TOKEN or API_KEY, in production; DEADLINE_S (300), for all of it.
 * Ctrl-C and SIGTERM end the time at once.
 */
export function trialHouse(address = process.env['BASE_URL'] ?? 'http://127.0.0.1:1880'): TrialHouse {
  const url = address.replace(/\/$/, '');
  const usualEnd = (endOfAll ??= endOfTime());
  const { TOKEN: token = '', API_KEY: key = '' } = process.env;
  const login = {
    ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
    ...(key === '' ? {} : { 'x-api-key': key }),
  };

  return {
    url,
    async ask<T>(method: string, path: string, body?: object, more: Asked = {}): Promise<T> {
      const { good = [200, 201, 202], end = usualEnd } = more;
      const headers = { ...login, 'content-type': 'application/json', ...more.headers };
      for (;;) {
        const signal = AbortSignal.any([end, AbortSignal.timeout(30_000)]);
        const said = body === undefined ? {} : { body: JSON.stringify(body) };
        const answer = await fetch(url + path, { method, headers, signal, ...said });
        const text = await answer.text();
        if (good.includes(answer.status)) {
          more.onHeaders?.(answer.headers);
          return JSON.parse(text) as T;
        }
        if (answer.status !== 429) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
        const seconds = Number(answer.headers.get('retry-after') ?? 1);
        process.stdout.write(`${method} ${path}: too many requests, again in ${seconds} s\n`);
        await pause(seconds * 1000, undefined, { signal: end });
      }
    },
    async until(what, found) {
      for (;;) {
        const value = await found();
        if (value !== undefined) return value;
        await pause(200, undefined, { signal: usualEnd }).catch(() => undefined);
        if (usualEnd.aborted) throw new Error(`${reasonOf(usualEnd)}: ${what}`);
      }
    },
    within(what, work) {
      return new Promise((resolve, reject) => {
        const give = (): void => reject(new Error(`${reasonOf(usualEnd)}: ${what}`));
        if (usualEnd.aborted) give();
        usualEnd.addEventListener('abort', give, { once: true });
        work.then(resolve, reject).finally(() => usualEnd.removeEventListener('abort', give));
      });
    },
  };
}

/** A setting of the environment. */
export function wholeNumber(name: string, usual: number, limits: { min: number; max: number }): number {
  const value = Number(process.env[name] ?? usual);
  if (Number.isSafeInteger(value) && value >= limits.min && value <= limits.max) return value;
  throw new Error(`${name} must be a whole number from ${limits.min} to ${limits.max}.`);
}

function endOfTime(): AbortSignal {
  const seconds = wholeNumber('DEADLINE_S', 300, { min: 1, max: 86_400 });
  const end = new AbortController();
  setTimeout(() => end.abort(new Error(`not done after ${seconds} s`)), seconds * 1000).unref();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => end.abort(new Error(`stopped by ${signal}`)));
  return end.signal;
}

function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason);
}
