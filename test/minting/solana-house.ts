import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  findAssociatedTokenPda,
  getMintDecoder,
  getTokenDecoder,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token';
import { generateKeyPairSigner, type Address, type KeyPairSigner } from '@solana/kit';
import { createLocalChain } from '../../examples/minting-solana/chain.js';
import { ensureToken } from '../../examples/minting-solana/kwh-token.js';

export type LocalChain = ReturnType<typeof createLocalChain>;

/** A chain with somebody who may mint on it. */
export async function startChain(): Promise<{ chain: LocalChain; authority: KeyPairSigner; token: Address }> {
  const chain = createLocalChain();
  const authority = await generateKeyPairSigner();
  chain.fund(authority.address, 100);
  return { chain, authority, token: await ensureToken(chain, authority) };
}

/** What a wallet holds, in ten-thousandths of a kWh. */
export async function held(chain: LocalChain, token: Address, owner: Address): Promise<number> {
  const [balance] = await findAssociatedTokenPda({ owner, mint: token, tokenProgram: TOKEN_PROGRAM_ADDRESS });
  const account = await chain.account(balance);
  return account === null ? 0 : Number(getTokenDecoder().decode(account.data).amount);
}

export async function supply(chain: LocalChain, token: Address): Promise<number> {
  const account = await chain.account(token);
  return account === null ? 0 : Number(getMintDecoder().decode(account.data).supply);
}

/** `lose`: the service hears it, its answer gets lost. `twice`: it hears it two times at once. */
export type Way = 'pass' | 'lose' | 'twice';

export interface Road {
  readonly url: string;
  /** POSTs that the service heard. */
  readonly heard: number;
  /** Of them, those whose answer was lost. */
  readonly lost: number;
  /** The service's address; null: it is away. */
  target: string | null;
  close(): Promise<void>;
}

/** What lies between Meterflow and the service: the n-th POST fares by `ways`, over and over. */
export async function startRoad(ways: readonly Way[]): Promise<Road> {
  let posts = 0;
  let heard = 0;
  let lost = 0;
  const server = createServer((request, response) => {
    travel(request, response).catch(() => request.socket.destroy());
  });

  async function travel(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const way = request.method === 'POST' ? ways[posts++ % ways.length] : 'pass';
    if (road.target === null) return void request.socket.destroy();
    const target = `${road.target}${(request.url ?? '').replace(/^\/$/, '')}`;
    const again = () => {
      if (request.method === 'POST') heard += 1;
      return fetch(target, {
        method: request.method ?? 'GET',
        headers: { 'idempotency-key': String(request.headers['idempotency-key'] ?? '') },
        ...(request.method === 'POST' ? { body } : {}),
      });
    };
    const answers = await Promise.all(way === 'twice' ? [again(), again()] : [again()]);
    if (way === 'lose') {
      lost += 1;
      return void request.socket.destroy();
    }
    const answer = answers.at(-1);
    response.writeHead(answer?.status ?? 502, { 'content-type': 'application/json' });
    response.end(await answer?.text());
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const road = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get heard() {
      return heard;
    },
    get lost() {
      return lost;
    },
    target: null as string | null,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return road;
}
