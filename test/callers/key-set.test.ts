import { strict as assert } from 'node:assert';
import { errors, type FlattenedJWSInput } from 'jose';
import { createKeySet, type KeySet } from '../../src/callers/key-set.js';
import { DomainError } from '../../src/errors.js';
import { startKeyServer, type KeyServer } from './key-server.js';

const isAway = (error: unknown): boolean =>
  error instanceof DomainError && error.code === 'LOGIN_PROVIDER_UNAVAILABLE';
const isUnknown = (error: unknown): boolean => error instanceof errors.JWKSNoMatchingKey;

describe('The keys that a provider of logins publishes', () => {
  let server: KeyServer;
  let clock = 0;
  beforeEach(async () => {
    server = await startKeyServer();
    await server.key('RS256');
  });
  afterEach(() => server.close());

  const keysOf = (deadlineMs = 2_000): KeySet => createKeySet(server.url, { now: () => clock, deadlineMs });
  const find = (keys: KeySet, kid = 'RS256-0'): Promise<unknown> =>
    keys.find({ alg: 'RS256', kid }, {} as FlattenedJWSInput);

  it('are fetched once, however many ask', async () => {
    const keys = keysOf();
    await Promise.all(Array.from({ length: 20 }, () => find(keys)));
    await find(keys);
    assert.equal(server.asked(), 1);
  });

  it('are fetched again for one that is not known, once in 30 s', async () => {
    const keys = keysOf();
    await find(keys);
    server.rotate();
    await server.key('RS256');
    await assert.rejects(find(keys, 'RS256-1'), isUnknown);
    assert.equal(server.asked(), 1, 'just fetched');
    clock += 30_001;
    const found = await Promise.all([find(keys, 'RS256-1'), find(keys, 'RS256-1')]);
    assert.ok(found[0]);
    assert.equal(server.asked(), 2);
    for (let guess = 0; guess < 50; guess += 1) await assert.rejects(find(keys, `guess-${guess}`), isUnknown);
    assert.equal(server.asked(), 2);
    await assert.rejects(find(keys, 'RS256-0'), isUnknown);
  });

  it('hold for an hour while it is away, and are known again when it is back', async () => {
    const keys = keysOf();
    await find(keys);
    server.instead((response) => response.writeHead(500).end());
    clock += 3_500_000;
    assert.ok(await find(keys));
    await assert.rejects(find(keys, 'RS256-9'));
    clock += 200_000;
    await assert.rejects(find(keys), isAway);
    server.instead(undefined);
    clock += 1_001;
    assert.ok(await find(keys));
  });

  const faults: [what: string, answer: Parameters<KeyServer['instead']>[0]][] = [
    ['answers 500', (response) => response.writeHead(500).end()],
    ['sends us elsewhere', (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['is too slow', () => {}],
    ['begins and stops', (response) => void response.write('{"keys":[')],
    ['says too much', (response) => response.end(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
    ['answers no JSON', (response) => response.end('<html>')],
    ['answers no keys', (response) => response.end('{"keys":{}}')],
    ['breaks off', (response) => response.destroy()],
  ];
  for (const [what, answer] of faults)
    it(`are not there when it ${what}: nobody is let in, and nobody waits long`, async () => {
      const keys = keysOf(200);
      server.instead(answer);
      const from = performance.now();
      await assert.rejects(find(keys), isAway);
      assert.ok(performance.now() - from < 2_000);
      // Not asked again by everybody who comes.
      await assert.rejects(find(keys), isAway);
      assert.equal(server.asked(), 1);
    });
});
