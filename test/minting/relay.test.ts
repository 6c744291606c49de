import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createMinting, type Minting } from '../../src/minting/minting.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through } from '../support/fault-proxy.js';
import { openDatabase } from '../../src/database/database.js';
import {
  fill,
  mintedReadings,
  startRelay,
  startService,
  wallet,
  type Act,
  type Service,
  type Told,
} from './house.js';

const caller = { name: 'test', address: null };
const deadlineMs = 3_600_000;

/** [H-16]: one mint per reading, counted at a service that mints with every POST. */
describe('readings on their way to the minting service', () => {
  let test: TestDatabase;
  let service: Service;
  let minting: Minting;
  let running: Told[];
  beforeEach(async () => {
    test = await createTestDatabase();
    service = await startService();
    minting = createMinting(test.database, { isSetUp: true, deadlineMs });
    running = [];
  });
  afterEach(async () => {
    await Promise.all(running.map(({ relay }) => relay.close()));
    await service.close();
    await test.drop();
  });

  function start(how: Parameters<typeof startRelay>[2] = {}): Told {
    const told = startRelay(test.database, service.url, how);
    running.push(told);
    return told;
  }

  const ask = async (reading_id: number | undefined, again = false) =>
    minting.request({ reading_id, again }, caller);
  const isMinted = async (reading_id: number | undefined) =>
    assert.equal((await ask(reading_id)).state, 'minted');
  const waiting = (reason: RegExp) =>
    eventually(async () => assert.match((await minting.list()).data[0]?.reason ?? '', reason));

  it('sends the reading, its wallet and a key that never changes, and stores the signature', async () => {
    const [id] = await fill(test.database, 1);
    assert.deepEqual((await ask(id)).state, 'waiting');
    const told = start();
    await eventually(() => assert.equal(told.minted.length, 1));
    const [mint] = service.mints;
    const request = (await minting.list()).data[0];
    assert.equal(mint?.key, `reading-METER001-${Date.parse(request?.reading_timestamp ?? '') * 1000}`);
    const { reading_timestamp, ...body } = mint?.body ?? {};
    assert.equal(Date.parse(reading_timestamp ?? ''), Date.parse(request?.reading_timestamp ?? ''));
    assert.deepEqual(body, {
      idempotency_key: mint?.key,
      reading_id: id,
      meter_id: 'METER001',
      wallet_address: wallet,
      kwh_amount: 1.25,
    });
    assert.deepEqual(await mintedReadings(test.database), [{ id, signature: 'signature-1' }]);
    const [event] = told.minted;
    assert.deepEqual([event?.reading_id, event?.tx_signature, event?.amount], [id, 'signature-1', 1.25]);
    const again = await ask(id);
    assert.deepEqual(
      [again.state, again.tx_signature, again.request?.attempts],
      ['minted', 'signature-1', 1],
    );
  });

  const troubles: readonly (readonly [what: string, acts: Act[], posts: number, asks: number])[] = [
    ['the answer is lost', ['lose', 'mint'], 1, 1],
    ['the answer never comes', ['hold', 'mint'], 1, 1],
    ['the answer has no signature', ['mute', 'mint'], 1, 1],
    ['the request is lost', ['drop', 'mint'], 2, 1],
    ['the service is busy, then broken', [503, 500, 'mint'], 3, 2],
    ['a proxy wants a login', [401, 'mint'], 2, 1],
  ];
  for (const [what, acts, posts, asks] of troubles) {
    it(`mints once when ${what}`, async () => {
      service.acts = acts;
      const [id] = await fill(test.database, 1);
      await ask(id);
      const told = start({ timeoutMs: 300 });
      await eventually(() => isMinted(id));
      assert.equal(service.mints.length, 1);
      assert.deepEqual([service.posts.length, service.asks.length], [posts, asks]);
      assert.equal(new Set([...service.posts, ...service.asks]).size, 1, 'always the same key');
      await eventually(() => assert.equal(told.minted.length, 1));
    });
  }

  it('sends nothing again while a service that may have it cannot be asked', async () => {
    service.acts = ['lose', 'mint'];
    service.askStatus = 500;
    const [id] = await fill(test.database, 1);
    await ask(id);
    start();
    await eventually(() => assert.ok(service.asks.length >= 3));
    await waiting(/answered 500/);
    assert.equal((await minting.list()).data[0]?.in_doubt, true);
    assert.equal(service.posts.length, 1);
    service.askStatus = null;
    await eventually(() => isMinted(id));
    assert.deepEqual([service.posts.length, service.mints.length], [1, 1]);
  });

  it('asks for what pends until it is minted', async () => {
    service.acts = ['pend'];
    const [id] = await fill(test.database, 1);
    await ask(id);
    const told = start();
    await eventually(() => assert.ok(service.asks.length >= 2));
    assert.equal((await ask(id)).state, 'waiting');
    service.settle();
    await eventually(() => isMinted(id));
    assert.equal(service.posts.length, 1);
    await eventually(() => assert.equal(told.minted.length, 1));
  });

  it('ends with a refusal, and tries it once more only when told so', async () => {
    service.acts = ['refuse', 'mint'];
    const [id] = await fill(test.database, 1);
    await ask(id);
    const told = start();
    await eventually(() => assert.equal(told.unminted.length, 1));
    assert.deepEqual([told.unminted[0]?.state, told.unminted[0]?.reason], ['refused', 'Not this one.']);
    await assert.rejects(ask(id), { code: 'MINT_REFUSED', message: /Not this one\./ });
    assert.equal(service.posts.length, 1);
    assert.equal((await ask(id, true)).state, 'waiting');
    await eventually(() => isMinted(id));
    assert.equal(service.mints.length, 1);
  });

  it('gives up at the deadline, having asked once more, and begins anew when it is asked for again', async () => {
    const short = createMinting(test.database, { isSetUp: true, deadlineMs: 300 });
    service.acts = [503];
    const [id] = await fill(test.database, 1);
    await short.request({ reading_id: id }, caller);
    const told = start();
    await eventually(() => assert.equal(told.unminted[0]?.state, 'abandoned'));
    const sent = service.posts.length;
    service.acts = ['mint'];
    assert.equal((await ask(id)).state, 'waiting');
    await eventually(() => isMinted(id));
    assert.deepEqual([service.posts.length - sent, service.mints.length], [1, 1]);
  });

  it('finds what was minted after all at the deadline', async () => {
    const short = createMinting(test.database, { isSetUp: true, deadlineMs: 1 });
    service.acts = ['lose'];
    const [id] = await fill(test.database, 1);
    await ask(id);
    const told = start();
    await eventually(() => assert.equal(service.mints.length, 1));
    await test.database.query({
      text: `update mint_requests set deadline_at = now() where state = 'waiting'`,
    });
    await eventually(() => isMinted(id));
    assert.equal(told.unminted.length, 0);
    assert.equal((await short.request({ reading_id: id }, caller)).tx_signature, 'signature-1');
  });

  it('waits for a service that is away, and says so', async () => {
    const port = Number(new URL(service.url).port);
    await service.close();
    const [id] = await fill(test.database, 1);
    await ask(id);
    const told = start();
    await waiting(/cannot be reached \(ECONNREFUSED\)/);
    assert.ok(told.states.some((state) => /cannot be reached/.test(state ?? '')));
    assert.equal((await minting.list()).data[0]?.in_doubt, false, 'it cannot have it');
    service = await startService(port);
    await eventually(() => isMinted(id));
    assert.equal(service.mints.length, 1);
  });

  it('is one request however many ask for it at once', async () => {
    const ids = await fill(test.database, 5);
    start();
    start();
    const asked = await Promise.all(ids.flatMap((id) => Array.from({ length: 20 }, () => ask(id))));
    assert.equal(new Set(asked.map(({ request }) => request?.id)).size, 5);
    await eventually(async () => assert.equal((await mintedReadings(test.database)).length, 5));
    assert.equal(service.mints.length, 5);
    const { rows } = await test.database.query<{ count: number }>({
      text: `select count(*)::int as count from audit_log where action = 'reading.mint_requested'`,
    });
    assert.equal(rows[0]?.count, 5);
  });

  it('is taken by one of three instances, and told by one', async () => {
    const ids = await fill(test.database, 60);
    const told = [start({ instance: 'a' }), start({ instance: 'b' }), start({ instance: 'c' })];
    await Promise.all(ids.map((id) => ask(id)));
    await eventually(async () => assert.equal((await mintedReadings(test.database)).length, 60), {
      timeoutMs: 20_000,
    });
    assert.equal(service.posts.length, 60);
    await eventually(() => assert.equal(told.flatMap(({ minted }) => minted).length, 60));
    assert.equal(new Set(told.flatMap(({ minted }) => minted).map((one) => one.reading_id)).size, 60);
  });

  it('stores the mint when the database comes back, without another word to the service', async () => {
    const { hostname, port } = new URL(test.url);
    const line = await startFaultProxy({ host: hostname, port: Number(port) });
    const database = openDatabase({ url: through(line, test.url), queryTimeoutMs: 1_000 });
    try {
      const [id] = await fill(test.database, 1);
      await ask(id);
      await database.ready(10_000);
      service.acts = ['hold'];
      const told = startRelay(database, service.url, { timeoutMs: 2_000 });
      running.push(told);
      await eventually(() => assert.equal(service.mints.length, 1));
      line.cut();
      await eventually(() => assert.ok(told.states.some((state) => state !== null)));
      line.pass();
      await eventually(() => isMinted(id), { timeoutMs: 20_000 });
      assert.deepEqual([service.posts.length, service.mints.length], [1, 1]);
      await told.relay.close();
    } finally {
      await database.close();
      await line.close();
    }
  }).timeout(60_000);

  it('tells again what a process that died had not told', async () => {
    const [id] = await fill(test.database, 1);
    await ask(id);
    // As it stands between the commit and the output.
    await test.database.query({
      text: `update mint_requests set state = 'minted', tx_signature = 'sig', finished_at = now(), claimed_by = 'dead',
                    claimed_until = now() - interval '1 second'`,
    });
    const told = start();
    await eventually(() => assert.equal(told.minted.length, 1));
    assert.deepEqual([told.minted[0]?.reading_id, told.minted[0]?.tx_signature], [id, 'sig']);
    assert.equal(service.posts.length + service.asks.length, 0);
  });

  it('is minted once when kill -9 ends an instance in mid-request, and another takes over', async () => {
    const ids = await fill(test.database, 12);
    service.acts = ['hold'];
    const doomed = await launch('one');
    await Promise.all(ids.map((id) => ask(id)));
    await eventually(() => assert.ok(service.mints.length >= 4), { timeoutMs: 20_000 });
    doomed.kill('SIGKILL');
    await once(doomed, 'exit');
    assert.equal((await mintedReadings(test.database)).length, 0, 'it knew of none');
    service.acts = ['mint'];
    const next = await launch('two');
    try {
      await eventually(async () => assert.equal((await mintedReadings(test.database)).length, 12), {
        timeoutMs: 30_000,
      });
      assert.equal(service.mints.length, 12);
      assert.equal(new Set(service.mints.map(({ key }) => key)).size, 12);
    } finally {
      next.kill('SIGKILL');
      await once(next, 'exit');
    }
  }).timeout(90_000);

  async function launch(name: string): Promise<ChildProcess> {
    const child = fork(join(__dirname, '../support/mint-process.ts'), [test.url, service.url, name], {
      execArgv: ['--require', 'tsx/cjs'],
    });
    await once(child, 'message');
    return child;
  }
});
