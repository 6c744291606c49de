import { createRequire } from 'node:module';
import { cautious } from '../src/callers/cautious.js';
import { createLimits } from '../src/callers/limits.js';
import { createLockout, lockoutDefaults } from '../src/callers/lockout.js';
import { createLogins } from '../src/callers/logins.js';
import { acquireCallers } from '../src/callers/runtime.js';
import type { Database } from '../src/database/database.js';
import type { Environment } from '../src/operation/environment.js';
import type { Closing } from './closing.js';
import { createGate, openGate, type Gate } from './gate.js';

/**
 * The gate of this profile. Who is known to the guards behind is known to it. Before Node-RED: whoever comes later to
 * share it is asked for his database first, and ours has few connections.
 */
export function prepareGate(environment: Environment, database: Database, closing: Closing): Gate {
  const { METERFLOW_PROFILE, ADMIN_PASSWORD_HASH: hash, ADMIN_USER, PUBLIC_URL } = environment;
  if (METERFLOW_PROFILE !== 'production') return openGate;
  const held = acquireCallers(
    {
      access: METERFLOW_PROFILE,
      jwksUrl: environment.JWT_JWKS_URL ?? null,
      secret: environment.JWT_SECRET ?? null,
      issuer: environment.JWT_ISSUER,
      audience: environment.JWT_AUDIENCE,
      ttlSeconds: environment.JWT_TTL_SECONDS,
    },
    database,
  );
  const { passwords } = held;
  // By itself: guards have counters of their own, and where they keep them is for the flows to say.
  const { failures } = createLimits({
    store: { kind: 'memory' },
    perAddress: null,
    perCaller: null,
    perDevice: null,
    failuresPerAddress: environment.API_FAILURES_PER_ADDRESS,
  });
  const callers = cautious(held.callers, failures);
  const lockout = createLockout(database, lockoutDefaults);
  const logins = createLogins({ database, tokens: callers.tokens, passwords, lockout });
  closing.add('callers', async () => {
    await logins.close();
    held.release();
  });
  const bcrypt = createRequire(require.resolve('node-red'))('bcryptjs') as Bcrypt;
  return createGate({
    callers,
    administrator: ADMIN_USER,
    publicUrl: PUBLIC_URL,
    isPassword: (password) => bcrypt.compare(password, hash ?? ''),
    prove: ({ name, password }, address) => logins.prove(name, password, address),
  });
}

interface Bcrypt {
  compare(password: string, hash: string): Promise<boolean>;
}
