import type { operations } from './meterflow-api.d.ts';
import type { LiveMessage, Login } from './meterflow.ts';

type Query = NonNullable<operations['listen']['parameters']['query']>;

/**
 * What happens, as it happens; from the moment on at which this resolves. Ends with the signal, and when the line breaks:
 * come back then with the last `id` as `last_event_id`, and what was missed is told first.
 */
export async function listen(
  url: string,
  wish: Omit<Query, 'access_token'>,
  { token, apiKey }: Login,
  signal: AbortSignal,
): Promise<ReadableStream<LiveMessage>> {
  const address = new URL('/ws', url.replace(/^http/, 'ws'));
  for (const [name, value] of Object.entries(wish)) address.searchParams.set(name, String(value));
  const secret = token ?? apiKey;
  if (secret) address.searchParams.set('access_token', secret);

  const line = new WebSocket(address);
  let isOver = false;
  const messages = new ReadableStream<LiveMessage>({
    start(stream) {
      line.addEventListener('message', ({ data }) => {
        if (!isOver) stream.enqueue(JSON.parse(String(data)) as LiveMessage);
      });
      line.addEventListener('close', () => {
        if (!isOver) stream.close();
        isOver = true;
      });
    },
    cancel() {
      isOver = true;
      line.close();
    },
  });
  signal.addEventListener('abort', () => line.close(), { once: true });
  await new Promise<void>((resolve, reject) => {
    line.addEventListener('open', () => resolve());
    line.addEventListener('close', ({ code }) => reject(new Error(`/ws was not opened (${code})`)));
  });
  return messages;
}
