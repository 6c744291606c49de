import { randomBytes, scrypt, timingSafeEqual, type ScryptOptions } from 'node:crypto';
import { DomainError } from '../errors.js';

/** Hashes of people's passwords: `$scrypt$ln=16,r=8,p=1$salt$hash`, so that what is stored says how it was made. */
export interface Passwords {
  /** @throws DomainError LOGIN_BUSY */
  hash(password: string): Promise<string>;
  /** Takes as long when there is no hash; false then. @throws DomainError LOGIN_BUSY */
  matches(password: string, stored: string | null): Promise<boolean>;
}

export interface PasswordOptions {
  /** log2 of the cost: 16 takes 64 MiB and about 0.1 s of one core. */
  readonly cost?: number;
  /** Hashes at once: they share the threads that read files and look up names, and memory. */
  readonly atOnce?: number;
  /** And so many wait; more are told to come back. */
  readonly waitingMax?: number;
}

interface Cost {
  /** log2 of N. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

const hashBytes = 32;
const stored = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w-]+)\$([\w-]+)$/;

export function createPasswords(options: PasswordOptions = {}): Passwords {
  const { cost = 16, atOnce = 2, waitingMax = 40 } = options;
  const own: Cost = { ln: cost, r: 8, p: 1 };
  const inTurn = turns(atOnce, waitingMax);
  // For accounts that are not there: compared with, and never equal to anything.
  const nobody = { cost: own, salt: randomBytes(16), hash: randomBytes(hashBytes) };

  return {
    async hash(password) {
      const salt = randomBytes(16);
      const hash = await inTurn(() => derive(password, salt, own));
      const { ln, r, p } = own;
      return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toString('base64url')}$${hash.toString('base64url')}`;
    },
    async matches(password, text) {
      const known = text === null ? null : parse(text);
      const { cost: how, salt, hash } = known ?? nobody;
      const equal = timingSafeEqual(await inTurn(() => derive(password, salt, how)), hash);
      return equal && known !== null;
    },
  };
}

function parse(text: string): { cost: Cost; salt: Buffer; hash: Buffer } | null {
  const [, ln, r, p, salt = '', hash = ''] = stored.exec(text) ?? [];
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
  const bytes = Buffer.from(hash, 'base64url');
  // Whoever can write hashes could else have us take all memory.
  if (!(cost.ln >= 1 && cost.ln <= 20 && cost.r <= 16 && cost.p <= 4) || bytes.length !== hashBytes)
    return null;
  return { cost, salt: Buffer.from(salt, 'base64url'), hash: bytes };
}

function derive(password: string, salt: Buffer, { ln, r, p }: Cost): Promise<Buffer> {
  const N = 2 ** ln;
  const options: ScryptOptions = { N, r, p, maxmem: 128 * N * r + 128 * r * p + 1_048_576 };
  return new Promise((resolve, reject) => {
    // Keyboards write the same letters in different ways.
    scrypt(password.normalize('NFKC'), salt, hashBytes, options, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}

type InTurn = <T>(work: () => Promise<T>) => Promise<T>;

function turns(atOnce: number, waitingMax: number): InTurn {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= atOnce) {
      if (waiting.length >= waitingMax)
        throw new DomainError('LOGIN_BUSY', 'Too many people log in at once: try again in a moment.', {
          retryAfterSeconds: 2,
        });
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      // Whose turn it is takes over this place.
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
