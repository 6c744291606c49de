import { connect } from 'node:net';

/** One part that must work: answers undefined, or why it does not, for people. */
export type Check = () => string | undefined | Promise<string | undefined>;

export interface Readiness {
  readonly ready: boolean;
  /** `ok`, or the reason, by part. */
  readonly checks: Readonly<Record<string, string>>;
}

/** A check gets this long; a part that does not answer is not ready. */
const checkTimeoutMs = 2_000;

/** Asks all parts at once ([H-18]: /readyz). */
export async function readiness(checks: Readonly<Record<string, Check>>): Promise<Readiness> {
  const found = await Promise.all(
    Object.entries(checks).map(async ([part, check]) => [part, (await inTime(check)) ?? 'ok'] as const),
  );
  return { ready: found.every(([, answer]) => answer === 'ok'), checks: Object.fromEntries(found) };
}

/** Whether something listens there: a TCP connection that is closed at once. */
export function listens(host: string, port: number, timeoutMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(false));
    socket.once('error', () => settle(false));
  });
}

async function inTime(check: Check): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${checkTimeoutMs} ms`), checkTimeoutMs);
  });
  try {
    return await Promise.race([Promise.resolve(check()), late]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    clearTimeout(timer);
  }
}
