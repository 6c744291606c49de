import { accessSync, constants } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';

/** One way to read a variable: `allowed` finishes the sentence "allowed is …"; `parse` answers undefined for a bad text. */
export interface Kind<T> {
  readonly allowed: string;
  parse(text: string): T | undefined;
}

export const text = pattern<string>('any text', /^[^\0]+$/, (found) => found);
export const name = pattern<string>(
  '1 to 64 of letters, digits, dot, underscore, minus',
  /^[\w.-]{1,64}$/,
  (found) => found,
);
export const streamName = pattern<string>(
  '1 to 64 characters without white space and . * > / \\',
  /^[^\s.*>/\\]{1,64}$/,
  (found) => found,
);
export const subjectPrefix = pattern<string>(
  'tokens of letters, digits, _ and -, joined by dots',
  /^(?=.{1,64}$)[\w-]+(?:\.[\w-]+)*$/,
  (found) => found,
);
export const host = pattern<string>(
  'a host name or an address, without scheme and port',
  /^(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%\w+)?)$/,
  (found) => found,
);
export const decimal = pattern<string>(
  'a decimal number of at most 4 decimals',
  /^\d{1,12}(?:\.\d{1,4})?$/,
  (found) => found,
);
export const price: Kind<string> = {
  allowed: 'a price from 0.01 to 1000000 with at most 4 decimals',
  parse: (found) => (Number(found) >= 0.01 && Number(found) <= 1_000_000 ? decimal.parse(found) : undefined),
};
export const energy: Kind<string> = {
  allowed: 'kWh from 0.0001 to 1000000 with at most 4 decimals',
  parse: (found) =>
    Number(found) >= 0.0001 && Number(found) <= 1_000_000 ? decimal.parse(found) : undefined,
};
export const currency = pattern<string>('three capital letters of ISO 4217', /^[A-Z]{3}$/, (found) => found);
export const bcryptHash = pattern<string>(
  'a bcrypt hash (`npx node-red admin hash-pw` makes one)',
  /^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/,
  (found) => found,
);
export const key32 = pattern<string>(
  '32 random bytes as 64 hex digits',
  /^[0-9A-Fa-f]{64}$/,
  (found) => found,
);
export const secret = pattern<string>('at least 16 characters', /^[^\0]{16,}$/, (found) => found);
export const pathSecret = pattern<string>(
  '16 to 128 of letters, digits, - and _',
  /^[\w-]{16,128}$/,
  (found) => found,
);

export const port = integer(1, 65535, 'a port from 1 to 65535');

export const folder: Kind<string> = { allowed: 'a folder', parse: (found) => resolve(found) };

export const file: Kind<string> = {
  allowed: 'a file that can be read',
  parse(found) {
    try {
      accessSync(found, constants.R_OK);
      return resolve(found);
    } catch {
      return undefined;
    }
  },
};

export const flag: Kind<boolean> = {
  allowed: 'true or false (also on, off, yes, no, 1, 0)',
  parse: (found) => flags.get(found.toLowerCase()),
};

const flags = new Map([
  ...['true', 'on', 'yes', '1'].map((word) => [word, true] as const),
  ...['false', 'off', 'no', '0'].map((word) => [word, false] as const),
]);

export const timeZone: Kind<string> = {
  allowed: 'an IANA time zone such as Africa/Nairobi',
  parse(found) {
    try {
      return new Intl.DateTimeFormat('en', { timeZone: found }).resolvedOptions().timeZone && found;
    } catch {
      return undefined;
    }
  },
};

/** `unlimited` is null. */
export const limit: Kind<number | null> = {
  allowed: 'a whole number from 1, or unlimited',
  parse: (found) => (found === 'unlimited' ? null : integer(1, 1_000_000).parse(found)),
};

/** What express calls `trust proxy`: a number of hops, or addresses. */
export const proxies: Kind<number | readonly string[]> = {
  allowed: 'a number of hops, or a comma list of addresses, CIDR blocks, loopback, linklocal, uniquelocal',
  parse(found) {
    const hops = integer(1, 16).parse(found);
    return (
      hops ??
      list({ allowed: '', parse: (item) => (named.has(item) ? item : network.parse(item)) }).parse(found)
    );
  },
};

const named = new Set(['loopback', 'linklocal', 'uniquelocal']);

export const network: Kind<string> = {
  allowed: 'an address or a CIDR block',
  parse(found) {
    const [address = '', bits, ...rest] = found.split('/');
    const family = isIP(address);
    if (family === 0 || rest.length > 0) return undefined;
    return bits === undefined || integer(0, family === 4 ? 32 : 128).parse(bits) !== undefined
      ? found
      : undefined;
  },
};

/** `mqtt=trace,ledger=warn` */
export const levels: Kind<Readonly<Record<string, string>>> = {
  allowed: 'a comma list of component=level, for example mqtt=trace,database=warn',
  parse(found) {
    const pairs: [string, string][] = [];
    for (const item of found.split(',')) {
      const match = /^\s*([\w-]+)\s*=\s*(trace|debug|info|warn|error|fatal|silent)\s*$/.exec(item);
      if (match === null) return undefined;
      pairs.push([match[1] ?? '', match[2] ?? '']);
    }
    return Object.fromEntries(pairs);
  },
};

export function choice<const T extends string>(...words: readonly T[]): Kind<T> {
  return { allowed: words.join(', '), parse: (found) => words.find((word) => word === found) };
}

export function integer(
  min: number,
  max: number,
  allowed = `a whole number from ${min} to ${max}`,
): Kind<number> {
  return {
    allowed,
    parse(found) {
      const value = /^\d{1,15}$/.test(found) ? Number(found) : Number.NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

export function url(...schemes: readonly string[]): Kind<string> {
  return {
    allowed: `a URL beginning with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    parse: (found) =>
      URL.canParse(found) && schemes.some((scheme) => found.startsWith(`${scheme}://`)) ? found : undefined,
  };
}

export const origin: Kind<string> = {
  allowed:
    'an origin such as https://portal.example, as a browser writes it: small letters, no path, no usual port',
  parse: (found) =>
    /^https?:/.test(found) && URL.canParse(found) && new URL(found).origin === found ? found : undefined,
};

/** A comma list without empty or repeated items. */
export function list<T>(item: Kind<T>): Kind<readonly T[]> {
  return {
    allowed: `a comma list, each ${item.allowed}`,
    parse(found) {
      const items = found.split(',').map((part) => item.parse(part.trim()));
      const good = items.filter((value) => value !== undefined);
      return good.length === items.length && new Set(good).size === good.length ? good : undefined;
    },
  };
}

function pattern<T>(allowed: string, expression: RegExp, value: (found: string) => T): Kind<T> {
  return { allowed, parse: (found) => (expression.test(found) ? value(found) : undefined) };
}
