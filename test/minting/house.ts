import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Database } from '../../src/database/database.js';
import type { Minted } from '../../src/minting/mint-request.js';
import { startMintRelay, type MintRelay, type Unminted } from '../../src/minting/relay.js';
import { createMintingService } from '../../src/minting/service.js';

/**
 * What the service does with a POST. `lose`: mints, and the connection breaks. `drop`: the connection breaks, nothing is
 * minted. `hold`: mints, and never answers. A number is a status that it answers without a mint.
 */
export type Act = 'mint' | 'lose' | 'drop' | 'hold' | 'pend' | 'mute' | 'refuse' | number;

/**
 * A minting service that mints with every POST it gets, whatever its key: so what is counted here is what would be lost
 * if anything were sent twice.
 */
export interface Service {
  readonly url: string;
  /** One for each mint. */
  readonly mints: readonly { readonly key: string; readonly signature: string; readonly body: Order }[];
  /** Keys, in the order in which they came. */
  readonly posts: readonly string[];
  readonly asks: readonly string[];
  /** What happens to the next POSTs; the last one goes on for ever. */
  acts: Act[];
  /** Status of every GET; null: the truth. */
  askStatus: number | null;
  /** Of what pends. */
  settle(): void;
  close(): Promise<void>;
}

export interface Order {
  readonly idempotency_key: string;
  readonly reading_id: number;
  readonly meter_id: string;
  readonly reading_timestamp: string;
  readonly wallet_address: string;
  readonly kwh_amount: number;
}

/** Mints whatever comes, unless told otherwise. */
export async function startService(port = 0): Promise<Service> {
  const mints: { key: string; signature: string; body: Order }[] = [];
  const pending = new Set<string>();
  const posts: string[] = [];
  const asks: string[] = [];
  const server = createServer((request, response) => void serve(request, response));

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'GET') {
      const key = decodeURIComponent((request.url ?? '').split('/').at(-1) ?? '');
      asks.push(key);
      if (service.askStatus !== null) return say(response, service.askStatus, {});
      if (pending.has(key)) return say(response, 202, { status: 'pending' });
      const mint = mints.find((one) => one.key === key);
      if (mint === undefined) return say(response, 404, {});
      return say(response, 200, { status: 'minted', tx_signature: mint.signature });
    }
    const key = String(request.headers['idempotency-key']);
    const body = JSON.parse(await textOf(request)) as Order;
    posts.push(key);
    const act = (service.acts.length > 1 ? service.acts.shift() : service.acts[0]) ?? 'mint';
    if (act === 'drop') return void request.socket.destroy();
    if (typeof act === 'number') return say(response, act, { reason: `as told: ${act}` });
    if (act === 'refuse') return say(response, 422, { reason: 'Not this one.' });
    const signature = `signature-${mints.length + 1}`;
    mints.push({ key, signature, body });
    if (act === 'lose') return void request.socket.destroy();
    if (act === 'hold') return;
    if (act === 'mute') return say(response, 200, {});
    if (act === 'pend') {
      pending.add(key);
      return say(response, 202, { status: 'pending' });
    }
    return say(response, 201, { status: 'minted', tx_signature: signature });
  }

  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const service: Service = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/mints`,
    mints,
    posts,
    asks,
    acts: ['mint'],
    askStatus: null,
    settle: () => pending.clear(),
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return service;
}

function say(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

export interface Told {
  readonly relay: MintRelay;
  readonly minted: Minted[];
  readonly unminted: Unminted[];
  readonly states: (string | null)[];
}

/** Quick enough for a test; a claim runs out after `claimSeconds`. */
export function startRelay(
  database: Database,
  url: string,
  { instance = 'test', claimSeconds = 20, timeoutMs = 2_000 } = {},
): Told {
  const told = { minted: [] as Minted[], unminted: [] as Unminted[], states: [] as (string | null)[] };
  const relay = startMintRelay(database, createMintingService({ url, timeoutMs }), {
    instance,
    claimSeconds,
    backoff: { firstMs: 20, mostMs: 100 },
    onMinted: (minted) => void told.minted.push(minted),
    onUnminted: (unminted) => void told.unminted.push(unminted),
    onState: (state) => void told.states.push(state),
  });
  return { relay, ...told };
}

export const owner = '0b9f4c1e-6f0e-4d7b-9a52-3c1f5f0f7a11';
export const wallet = 'WalletOfTheOwner111';

/** An owner with a wallet and a meter with `count` readings of 1.25 kWh, a quarter of an hour apart. @returns their ids */
export async function fill(database: Database, count: number, meter = 'METER001'): Promise<number[]> {
  await database.query({
    text: `insert into users (id, email, wallet_address) values ($1, 'owner', $2) on conflict do nothing`,
    values: [owner, wallet],
  });
  await database.query({
    text: `insert into devices (meter_id, type, mqtt_user, password_hash, user_id) values ($1, 'meter', $1, '\\x00', $2)`,
    values: [meter, owner],
  });
  return addReadings(database, count, meter, owner);
}

export async function addReadings(
  database: Database,
  count: number,
  meter: string,
  user: string | null,
  daysAgo = 1,
): Promise<number[]> {
  await database.query({
    text: `select ensure_day_partition('meter_readings', d::date)
             from generate_series(date_trunc('day', now() - ($1 + 1) * interval '1 day'), now(), '1 day') d`,
    values: [daysAgo],
  });
  const { rows } = await database.query<{ id: number }>({
    text: `insert into meter_readings (meter_id, user_id, kwh_amount, reading_timestamp)
           select $1, $2, 1.25, date_trunc('hour', now() - $4 * interval '1 day') + n * interval '900 seconds'
             from generate_series(1, $3) n returning id::float8 as id`,
    values: [meter, user, count, daysAgo],
  });
  return rows.map(({ id }) => id);
}

export async function mintedReadings(database: Database): Promise<{ id: number; signature: string }[]> {
  const { rows } = await database.query<{ id: number; signature: string }>({
    text: `select id::float8 as id, mint_tx_signature as signature from meter_readings where minted order by id`,
  });
  return rows;
}
