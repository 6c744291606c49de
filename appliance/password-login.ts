import { createHash } from 'node:crypto';

/** Name or e-mail, and password, by HTTP Basic. */
export interface PasswordLogin {
  readonly name: string;
  readonly password: string;
}

/** Null: none, or one whose password is an API key, which is judged as a key. */
export function passwordLogin(authorization = ''): PasswordLogin | null {
  const [, sent] = /^basic +([\w+/=-]+)$/i.exec(authorization.trim()) ?? [];
  if (sent === undefined) return null;
  const text = Buffer.from(sent, 'base64').toString('utf8');
  const at = text.indexOf(':');
  if (at === -1 || text.startsWith('mfk_', at + 1)) return null;
  return { name: text.slice(0, at), password: text.slice(at + 1) };
}

export interface RememberedLogins<Found> {
  of(login: PasswordLogin, address: string | undefined): Promise<Found>;
  /** @returns false: it was not remembered */
  forget(login: PasswordLogin): boolean;
}

const loginsMax = 1_000;

/**
 * A password is dear to check on purpose, and a browser sends it with every request: what came out of a good one is
 * remembered, by its digest alone; who asks meanwhile waits for the same answer. A bad one is remembered by nobody.
 */
export function rememberedLogins<Found>(
  check: (login: PasswordLogin, address: string | undefined) => Promise<Found>,
): RememberedLogins<Found> {
  const known = new Map<string, Promise<Found>>();
  return {
    of(login, address) {
      const digest = digestOf(login);
      const present = known.get(digest);
      if (present !== undefined) return present;
      const found = check(login, address);
      known.set(digest, found);
      for (const oldest of known.keys()) {
        if (known.size <= loginsMax) break;
        known.delete(oldest);
      }
      found.catch(() => known.get(digest) === found && known.delete(digest));
      return found;
    },
    forget: (login) => known.delete(digestOf(login)),
  };
}

function digestOf({ name, password }: PasswordLogin): string {
  return createHash('sha256')
    .update(`${Buffer.byteLength(name)}:${name}${password}`)
    .digest('base64');
}
