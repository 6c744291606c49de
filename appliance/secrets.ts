import { randomBytes } from 'node:crypto';
import { chmodSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Environment } from '../src/operation/environment.js';

/** Secrets that the demo profile makes itself ([S-1]); production must bring them. */
const generated = ['CREDENTIAL_SECRET', 'MASTER_KEY', 'JWT_SECRET', 'PAYMENT_CALLBACK_SECRET'] as const;
export type SecretName = (typeof generated)[number];

/** What was given, else what DATA_DIR keeps, made at the first start. Undefined: not needed (JWT_JWKS_URL is set). */
export function secretOf(environment: Environment, name: SecretName): string | undefined {
  const given = environment[name];
  if (given !== undefined || environment.METERFLOW_PROFILE === 'production') return given;
  if (name === 'JWT_SECRET' && environment.JWT_JWKS_URL !== undefined) return undefined;
  return keptSecret(environment.DATA_DIR, name.toLowerCase());
}

/** A secret of 32 bytes in a file that only its owner can read; the same at every later start. */
export function keptSecret(dataDir: string, name: string): string {
  const folder = join(dataDir, 'secrets');
  const path = join(folder, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const kept = read(path);
  if (kept !== undefined) return kept;
  // Written whole, then linked: of two starts at once, one wins and both read the same.
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, randomBytes(32).toString('hex'), { mode: 0o600 });
  try {
    linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const made = read(path);
  if (made === undefined) throw new Error(`${path} cannot be read`);
  return made;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
