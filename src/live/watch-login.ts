import { isDomainError } from '../errors.js';
import type { LiveCaller } from './caller.js';
import type { Farewell } from './limits.js';

/** setTimeout cannot wait longer; whoever is still there then comes back anyway. */
const waitMaxMs = 2_147_483_647;

/**
 * A listener leaves when his token ends, and when his login holds no longer or has become another: an account that is
 * disabled, a key that is revoked, another role. While that cannot be known, he stays.
 * @returns what stops it
 */
export function watchLogin(
  caller: LiveCaller,
  listener: { dismiss(why: Farewell): void },
  again: () => Promise<LiveCaller>,
  recheckMs: number,
): () => void {
  const { role, user_id, expires_at } = caller;
  const ends =
    expires_at === null
      ? undefined
      : setTimeout(
          () => listener.dismiss('expired'),
          Math.min(Math.max(expires_at - Date.now(), 0), waitMaxMs),
        ).unref();
  const asks = setInterval(() => void ask(), recheckMs).unref();

  async function ask(): Promise<void> {
    try {
      const now = await again();
      if (now.role !== role || now.user_id !== user_id) listener.dismiss('unwelcome');
    } catch (error) {
      const isGone = isDomainError(error) && /^(?:UNAUTHORIZED|FORBIDDEN)$/.test(error.code);
      if (isGone) listener.dismiss('unwelcome');
    }
  }

  return () => {
    clearTimeout(ends);
    clearInterval(asks);
  };
}
