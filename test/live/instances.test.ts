import assert from 'node:assert/strict';
import type { RedisSettings } from '../../src/redis/connection.js';
import { createCertificateFolder } from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { startRedis, type RedisServer } from '../support/redis.js';
import { startGatewayProcess, type GatewayProcess } from './gateways.js';
import { balance, payment, reading } from './house.js';
import { listenTo, type Listener, type Told } from './listener.js';

const at = ({ url }: RedisServer, password: string | null = null): RedisSettings => ({
  url,
  password,
  caFile: null,
});
const eventsOnly = (told: readonly Told[]): readonly Told[] => told.filter(({ id }) => id !== undefined);
const namesOf = (told: readonly Told[]): string[] =>
  eventsOnly(told).map(({ id = '' }) => id.split('@')[0] ?? '');
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

describe('two instances and Redis [L-1]', function () {
  this.timeout(60_000);
  let redis: RedisServer;
  let here: GatewayProcess;
  let there: GatewayProcess;
  const listeners: Listener[] = [];

  const listen = async (url: string): Promise<Listener> => {
    const listener = await listenTo(url);
    listeners.push(listener);
    return listener;
  };
  const travel = (): Promise<true> =>
    eventually(async () => (await here.state()).problem === null && (await there.state()).problem === null);

  before(async () => {
    redis = await startRedis();
    [here, there] = await Promise.all([startGatewayProcess(at(redis)), startGatewayProcess(at(redis))]);
    await travel();
  });
  afterEach(async () => {
    await Promise.all(listeners.splice(0).map((listener) => listener.close()));
  });
  after(async () => {
    await Promise.all([here.end(), there.end()]);
    await redis.remove();
  });

  it('tell every listener of either of every event once, each instance in its order', async () => {
    const all = [
      await listen(here.url),
      await listen(here.url),
      await listen(there.url),
      await listen(there.url),
    ];
    for (const turn of range(0, 20)) {
      here.tell(...range(0, 100).map((number) => reading('HERE', turn * 100 + number)), payment('HERE'));
      there.tell(...range(0, 100).map((number) => reading('THERE', turn * 100 + number)), payment('THERE'));
    }
    for (const listener of all) {
      const told = eventsOnly(await listener.hears(4_040));
      assert.equal(told.length, 4_040);
      assert.equal(new Set(namesOf(told)).size, 4_040);
      for (const meter of ['HERE', 'THERE']) {
        const readings = told.filter(
          ({ event, data }) => event.startsWith('MeterR') && data['meter_id'] === meter,
        );
        assert.deepEqual(
          readings.map(({ data }) => data['kwh_amount']),
          range(0, 2_000),
        );
        assert.equal(
          told.filter(({ event, data }) => event === 'PaymentReceived' && data['meter_id'] === meter).length,
          20,
        );
      }
    }
    // The same event has the same name everywhere.
    assert.deepEqual(new Set(namesOf(all[0]?.told ?? [])), new Set(namesOf(all[3]?.told ?? [])));
  });

  it('let a listener resume at the other one: nothing is missed, what is told again has the same name', async () => {
    const first = await listen(here.url);
    here.tell(...range(0, 10).map((number) => balance('RESUMED', number)));
    there.tell(...range(10, 20).map((number) => balance('RESUMED', number)));
    const told = [...(await first.hears(20))];
    await first.close();
    here.tell(...range(20, 30).map((number) => balance('RESUMED', number)));
    there.tell(...range(30, 40).map((number) => balance('RESUMED', number)));
    const watching = await listen(there.url);
    const last = told.at(-1)?.id ?? '';
    const again = await listen(`${there.url}?last_event_id=${encodeURIComponent(last)}`);
    here.tell(balance('RESUMED', 40));
    await watching.hears(1);
    await eventually(() => again.told.some(({ data }) => data['balance'] === 40));
    const mine = [...told, ...again.told].filter(({ data }) => data['meter_id'] === 'RESUMED');
    const balances = new Map(mine.map((one) => [namesOf([one])[0], Number(one.data['balance'])]));
    assert.deepEqual(
      [...balances.values()].toSorted((a, b) => a - b),
      range(0, 41),
    );
  });

  it('go on by themselves while Redis is away, find together again, and say what was missed', async () => {
    const [local, remote] = [await listen(here.url), await listen(there.url)];
    here.tell(balance('A', 1));
    await Promise.all([local.hears(1), remote.hears(1)]);
    await redis.stop('SIGKILL');
    await eventually(
      async () => (await here.state()).problem !== null && (await there.state()).problem !== null,
    );
    here.tell(...range(2, 7).map((number) => balance('A', number)));
    there.tell(balance('B', 100));
    await local.hears(6);
    await remote.hears(2);
    await redis.start();
    await travel();
    // Said without any further event: 5 of one, 1 of the other.
    await eventually(() => gapsOf(remote) === 5 && gapsOf(local) === 1, { timeoutMs: 15_000 });
    here.tell(balance('A', 7));
    there.tell(balance('B', 101));
    await eventually(() => lastBalances(local).has(101) && lastBalances(remote).has(7));
    assert.deepEqual([...lastBalances(local)], [1, 2, 3, 4, 5, 6, 7, 101]);
    assert.deepEqual(
      [...lastBalances(remote)].toSorted((a, b) => a - b),
      [1, 7, 100, 101],
    );
    assert.equal(new Set(namesOf(local.told)).size, eventsOnly(local.told).length);
  });

  it('notice a Redis that hangs, and tell their own listeners all the while', async () => {
    const local = await listen(here.url);
    redis.freeze();
    try {
      here.tell(...range(0, 50).map((number) => balance('A', number)));
      await local.hears(50);
      await eventually(async () => (await here.state()).problem !== null, { timeoutMs: 25_000 });
    } finally {
      redis.thaw();
    }
    await travel();
  });

  it('do not hear an instance that no longer is', async () => {
    const third = await startGatewayProcess(at(redis));
    const listener = await listen(here.url);
    third.tell(balance('C', 1));
    await eventually(async () => (await third.state()).problem === null);
    third.tell(balance('C', 2));
    await listener.hears(1);
    await third.end();
    here.tell(balance('A', 3));
    await eventually(() => lastBalances(listener).has(3));
  });
});

describe('a Redis that asks who comes', function () {
  this.timeout(60_000);

  it('is reached with a password, and not without', async () => {
    const redis = await startRedis({ password: 'correct horse' });
    const [good, bad] = await Promise.all([
      startGatewayProcess(at(redis, 'correct horse')),
      startGatewayProcess(at(redis, 'wrong')),
    ]);
    await eventually(async () => (await good.state()).problem === null);
    const listener = await listenTo(bad.url);
    bad.tell(balance('A'));
    await listener.hears(1);
    const { problem } = await bad.state();
    assert.notEqual(problem, null);
    assert.doesNotMatch(problem ?? '', /wrong horse/);
    await listener.close();
    await Promise.all([good.end(), bad.end()]);
    await redis.remove();
  });
});

describe('a Redis behind TLS', function () {
  this.timeout(60_000);

  it('is trusted by its CA, and by nothing else', async () => {
    const folder = await createCertificateFolder();
    const redis = await startRedis({ tls: folder });
    const { url } = redis;
    const [good, bad] = await Promise.all([
      startGatewayProcess({ url, password: null, caFile: folder.caFile }),
      startGatewayProcess({ url, password: null, caFile: null }),
    ]);
    await eventually(async () => (await good.state()).problem === null);
    await eventually(async () => /certificate/.test((await bad.state()).problem ?? ''));
    await Promise.all([good.end(), bad.end()]);
    await redis.remove();
    folder.remove();
  });
});

function gapsOf({ told }: Listener): number {
  return told
    .filter(({ event, data }) => event === 'Gap' && data['reason'] === 'relay')
    .reduce((sum, { data }) => sum + Number(data['missed']), 0);
}

function lastBalances({ told }: Listener): Set<number> {
  return new Set(eventsOnly(told).map(({ data }) => Number(data['balance'])));
}
