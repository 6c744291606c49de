import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type CryptoKey, type JWK } from 'jose';

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** A provider of logins, as far as its keys. */
export interface KeyServer {
  readonly url: string;
  /** Its present key of this algorithm. */
  key(alg: string): Promise<SigningKey>;
  /** New keys from now on; the old ones are no longer published. */
  rotate(): void;
  /** What it answers instead, until it is undefined again. */
  instead(answer: ((response: ServerResponse) => void) | undefined): void;
  asked(): number;
  close(): Promise<void>;
}

export async function startKeyServer(): Promise<KeyServer> {
  let keys = new Map<string, Promise<SigningKey>>();
  let generation = 0;
  let asked = 0;
  let other: ((response: ServerResponse) => void) | undefined;

  async function make(alg: string): Promise<SigningKey> {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    return { kid: `${alg}-${generation}`, privateKey, publicKey };
  }

  async function published(): Promise<{ keys: JWK[] }> {
    const set: JWK[] = [];
    for (const [alg, key] of keys) {
      const { kid, publicKey } = await key;
      set.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' });
    }
    return { keys: set };
  }

  const server = createServer((_request, response) => {
    asked += 1;
    if (other !== undefined) return other(response);
    void published().then((set) => response.end(JSON.stringify(set)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    key(alg) {
      const present = keys.get(alg) ?? make(alg);
      keys.set(alg, present);
      return present;
    },
    rotate() {
      generation += 1;
      keys = new Map();
    },
    instead(answer) {
      other = answer;
    },
    asked: () => asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
