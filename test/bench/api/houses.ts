import { randomBytes } from 'node:crypto';
import { cp, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createTokens } from '../../../src/callers/tokens.js';
import { startAppliance } from '../../support/appliance.js';
import { freePort } from '../../support/ports.js';
import { startChild } from '../contestants/child.js';
import { profiling } from '../contestants/ours.js';
import type { Headers } from './callers.js';
import { stockApiFlows } from './stock-flows.js';

export interface ApiPlace {
  readonly databaseUrl: string;
  /** An empty one of its own. */
  readonly folder: string;
}

/** Who answers the API, the database aside. */
export interface ApiHouse {
  readonly url: string;
  /** Who these users are, as it is said to this house: by a token, or just said. */
  headersOf(userIds: readonly string[]): Promise<Headers[]>;
  pids(): readonly number[];
  stop(): Promise<void>;
}

export interface ApiContestant {
  readonly name: string;
  readonly about: string;
  start(place: ApiPlace): Promise<ApiHouse>;
}

const peers = resolve(__dirname, '../peers');
const root = resolve(__dirname, '../../..');
const names = { issuer: 'bench', audience: 'bench' };

/** As POST /api/auth/token gives it out, without the tenth of a second that a password takes. */
async function bearer(secret: string, user_id: string): Promise<Headers> {
  const tokens = createTokens({ ...names, secret, jwksUrl: null, ttlSeconds: 3_600 });
  const token = await tokens.issue?.({ user_id, role: 'prosumer', issued_at: Date.now() });
  return { authorization: `Bearer ${token}` };
}

function said(userIds: readonly string[]): Promise<Headers[]> {
  return Promise.resolve(userIds.map((id) => ({ 'x-user-id': id })));
}

/** `npm start` with the shipped flows. */
export const ourApi: ApiContestant = {
  name: 'meterflow',
  about:
    'npm start, shipped flows: bearer token and ownership judged for each call, every field checked, rules of readings, ' +
    'statistics that are written down',
  async start({ databaseUrl, folder }) {
    const secret = randomBytes(32).toString('hex');
    const env = {
      ...profiling(),
      DATABASE_URL: databaseUrl,
      INSTANCE_ID: 'bench',
      VIRTUAL_METERS: '0',
      MOCK_SYNC: 'off',
      JWT_SECRET: secret,
      JWT_ISSUER: names.issuer,
      JWT_AUDIENCE: names.audience,
    };
    const appliance = await startAppliance({ dataDir: folder, env });
    const kill = (): void => appliance.kill('SIGTERM');
    process.once('exit', kill);
    return {
      url: appliance.url,
      headersOf: (userIds) => Promise.all(userIds.map((id) => bearer(secret, id))),
      pids: () => [appliance.pid],
      async stop() {
        process.off('exit', kill);
        await appliance.stop();
      },
    };
  },
};

export const plainApi: ApiContestant = {
  name: 'plain server',
  about:
    'node:http and pg, the answers by straight SQL over the same tables; no login, no rules, nothing cached',
  async start({ databaseUrl }) {
    const port = await freePort();
    const env = { NODE_ENV: 'production', PEER_HTTP_PORT: String(port), PEER_PG_URL: databaseUrl };
    const file = join(peers, 'plain-api.ts');
    const child = startChild(process.execPath, ['--require', 'tsx/cjs', file], { env });
    await child.says('listening');
    return {
      url: `http://127.0.0.1:${port}`,
      headersOf: said,
      pids: () => [child.pid],
      stop: () => child.stop(),
    };
  },
};

export const stockApi: ApiContestant = {
  name: 'stock Node-RED',
  about: "http in → function → http response, the plain server's SQL in the functions; no login, no rules",
  async start({ databaseUrl, folder }) {
    const port = await freePort();
    await writeFile(join(folder, 'flows.json'), JSON.stringify(stockApiFlows()));
    await cp(join(peers, 'api-settings.cjs'), join(folder, 'settings.cjs'));
    const nodeRed = createRequire(join(root, 'appliance/package.json')).resolve('node-red/red.js');
    const env = {
      NODE_ENV: 'production',
      PEER_HTTP_PORT: String(port),
      PEER_PG_URL: databaseUrl,
      PEER_QUESTIONS: join(peers, 'plain-questions.ts'),
    };
    const tsx = createRequire(__filename).resolve('tsx/cjs');
    const args = ['--require', tsx, nodeRed, '-u', folder, '-s', join(folder, 'settings.cjs')];
    const child = startChild(process.execPath, args, { env });
    await child.says('Started flows');
    return {
      url: `http://127.0.0.1:${port}`,
      headersOf: said,
      pids: () => [child.pid],
      stop: () => child.stop(),
    };
  },
};
