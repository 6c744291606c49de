import { strict as assert } from 'node:assert';
import type { IncomingMessage } from 'node:http';
import { cautious } from '../../src/callers/cautious.js';
import type { Callers } from '../../src/callers/callers.js';
import { createLimits } from '../../src/callers/limits.js';
import { DomainError, isDomainError } from '../../src/errors.js';
import { requestWith } from './house.js';

const none = { perAddress: null, perCaller: null, perDevice: null };

describe('Callers who try keys', () => {
  let looks = 0;
  let callers: Callers;
  beforeEach(() => {
    looks = 0;
    const all: Pick<Callers, 'identify'> = {
      identify(request) {
        looks += 1;
        if (request.url === '/away') throw new DomainError('DATABASE_UNAVAILABLE', 'It is away.');
        const isGood = request.headers['x-api-key'] === 'good' || request.headers['x-api-key'] === undefined;
        if (isGood && !request.url?.includes('access_token')) return Promise.resolve(null);
        return Promise.reject(new DomainError('UNAUTHORIZED', 'No.'));
      },
    };
    const limits = createLimits({ ...none, failuresPerAddress: 3, store: { kind: 'memory' } });
    callers = cautious(all as Callers, limits.failures);
  });

  const request = (ip: string, key?: string, url = '/'): IncomingMessage => {
    const made = Object.assign(requestWith([], url), { ip });
    if (key !== undefined) made.headers['x-api-key'] = key;
    return made;
  };
  const code = async (made: IncomingMessage, how = {}): Promise<string> => {
    try {
      await callers.identify(made, how);
      return 'heard';
    } catch (error) {
      return isDomainError(error) ? error.code : 'another';
    }
  };

  it('are not heard from that address for a while, not with a good one either', async () => {
    for (let at = 0; at < 3; at += 1) assert.equal(await code(request('192.0.2.1', 'bad')), 'UNAUTHORIZED');
    assert.equal(await code(request('192.0.2.1', 'bad')), 'RATE_LIMITED');
    assert.equal(await code(request('192.0.2.1', 'good')), 'RATE_LIMITED');
    assert.equal(looks, 3);
    assert.equal(await code(request('192.0.2.1')), 'heard');
    assert.equal(await code(request('192.0.2.2', 'good')), 'heard');
  });

  it('may not try them in the address of a WebSocket either', async () => {
    const listen = (): IncomingMessage => request('192.0.2.1', undefined, '/ws?access_token=bad');
    for (let at = 0; at < 3; at += 1) assert.equal(await code(listen(), { query: true }), 'UNAUTHORIZED');
    assert.equal(await code(listen(), { query: true }), 'RATE_LIMITED');
  });

  it('are not those whom nobody could look up', async () => {
    for (let at = 0; at < 5; at += 1)
      assert.equal(await code(request('192.0.2.1', 'good', '/away')), 'DATABASE_UNAVAILABLE');
    assert.equal(await code(request('192.0.2.1', 'good')), 'heard');
  });
});
