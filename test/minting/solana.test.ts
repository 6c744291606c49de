import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { getTransferSolInstruction } from '@solana-program/system';
import { address, generateKeyPairSigner, type Address } from '@solana/kit';
import { isRecorded, mintInstructions, recordOf } from '../../examples/minting-solana/kwh-token.js';
import { createMinter, type Said } from '../../examples/minting-solana/minter.js';
import { serveMints } from '../../examples/minting-solana/server.js';
import { createMinting } from '../../src/minting/minting.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { addReadings, startRelay, type Told } from './house.js';
import { held, startChain, startRoad, supply, type Road } from './solana-house.js';

const caller = { name: 'test', address: null };
const root = resolve(__dirname, '../..');
type House = Awaited<ReturnType<typeof startChain>>;
const signatureOf = ({ body }: Said): unknown => (body as { tx_signature?: string }).tx_signature;

/** examples/minting-solana: real transactions of real programs, in Solana's virtual machine. */
describe('readings as tokens on Solana', () => {
  let house: House;
  beforeEach(async () => {
    house = await startChain();
  });
  const newWallet = async (): Promise<Address> => (await generateKeyPairSigner()).address;

  describe('handed over by the relay', () => {
    let test: TestDatabase;
    let road: Road;
    let told: Told;
    let service: { url: string; close(): Promise<void> } | undefined;
    beforeEach(async () => {
      test = await createTestDatabase();
      road = await startRoad(['lose', 'twice', 'pass']);
      told = startRelay(test.database, road.url);
    });
    afterEach(async () => {
      await told.relay.close();
      await service?.close();
      await road.close();
      await test.drop();
    });

    /** With nothing in its memory. */
    async function startServiceAnew(): Promise<void> {
      road.target = null;
      await service?.close();
      service = await serveMints(await createMinter(house.chain, house.authority));
      road.target = service.url;
    }
    async function owned(meter: string, wallet: string, count: number): Promise<number[]> {
      const { rows } = await test.database.query<{ id: string }>({
        text: `insert into users (email, wallet_address) values ($1, $2) returning id::text`,
        values: [meter, wallet],
      });
      const ids = await addReadings(test.database, count, meter, rows[0]?.id ?? '');
      await test.database.query({
        text: `update meter_readings set kwh_amount = 0.0001 + (id % 97) * 0.3337 where meter_id = $1`,
        values: [meter],
      });
      return ids;
    }
    const minting = () => createMinting(test.database, { isSetUp: true, deadlineMs: 3_600_000 });
    const ask = (reading_id: number, again = false) => minting().request({ reading_id, again }, caller);

    it('are minted once each, over lost answers, doubled requests and a service that begins anew', async () => {
      const wallets = await Promise.all([newWallet(), newWallet(), newWallet()]);
      const ids: number[] = [];
      for (const [index, wallet] of wallets.entries()) ids.push(...(await owned(`M${index}`, wallet, 10)));
      await startServiceAnew();
      await Promise.all(ids.map((id) => ask(id)));
      await eventually(async () => assert.ok((await supply(house.chain, house.token)) > 0));
      await startServiceAnew();
      await eventually(async () => assert.equal(new Set(told.minted.map((one) => one.reading_id)).size, 30), {
        timeoutMs: 20_000,
      });
      assert.ok(road.lost >= 8 && road.heard >= 38, `${road.lost} lost, ${road.heard} heard`);

      const { rows } = await test.database.query<{
        wallet: string;
        key: string;
        units: string;
        signature: string;
      }>({
        text: `select m.wallet_address as wallet, m.idempotency_key as key, (r.kwh_amount * 10000)::bigint::text as units,
                      r.mint_tx_signature as signature
                 from meter_readings r join mint_requests m using (meter_id, reading_timestamp) where r.minted`,
      });
      assert.equal(rows.length, 30);
      const due = (wallet?: string): number =>
        rows
          .filter((row) => wallet === undefined || row.wallet === wallet)
          .reduce((sum, row) => sum + Number(row.units), 0);
      for (const wallet of wallets)
        assert.equal(await held(house.chain, house.token, wallet), due(wallet), wallet);
      assert.equal(await supply(house.chain, house.token), due());
      for (const { key, wallet, units, signature } of rows) {
        const record = await recordOf(house.authority.address, key);
        assert.deepEqual(await house.chain.transactionsOf(record), [
          { signature, feePayer: house.authority.address, memo: `${key} ${wallet} ${units}` },
        ]);
      }
    }).timeout(60_000);

    it('are refused for a wallet that is none, for good, and minted when it was put right', async () => {
      const [id = 0] = await owned('WRONG', 'not-a-wallet', 1);
      await startServiceAnew();
      await ask(id);
      await eventually(() => assert.equal(told.unminted.length, 1));
      assert.deepEqual(
        [told.unminted[0]?.state, told.unminted[0]?.reason],
        ['refused', 'wallet_address is not an address of Solana.'],
      );
      await assert.rejects(ask(id), { code: 'MINT_REFUSED', message: /not an address of Solana/ });
      assert.equal(await supply(house.chain, house.token), 0);

      const wallet = await newWallet();
      await test.database.query({ text: 'update users set wallet_address = $1', values: [wallet] });
      await ask(id, true);
      await eventually(async () => assert.equal((await ask(id)).state, 'minted'));
      const units = Math.round(10_000 * (told.minted[0]?.amount ?? 0));
      assert.equal(await held(house.chain, house.token, wallet), units);
    });
  });

  describe('for whoever asks the service', () => {
    const order = (wallet_address: string, kwh_amount: unknown = 1.25) => ({ wallet_address, kwh_amount });

    it('are minted once when a key comes ten times at once, to two services', async () => {
      const minters = [
        await createMinter(house.chain, house.authority),
        await createMinter(house.chain, house.authority),
      ];
      const five = [1, 2, 3, 4, 5];
      const wallet = await newWallet();
      await Promise.all(minters.flatMap((one) => five.map(() => one.mint('k1', order(wallet)))));
      assert.equal(await held(house.chain, house.token, wallet), 12_500);
      const said = await Promise.all(
        minters.flatMap((one) => [one.ask('k1'), one.mint('k1', order(wallet))]),
      );
      assert.deepEqual(new Set(said.map(({ status }) => status)), new Set([200]));
      assert.equal(new Set(said.map(signatureOf)).size, 1);
    });

    it('are not minted a second time by the chain, even if the service wanted to', async () => {
      const { chain, authority, token } = house;
      const one = { key: 'k1', wallet: await newWallet(), units: 12_500n };
      assert.ok(
        'landed' in (await chain.send(authority, await mintInstructions(chain, authority, token, one))),
      );
      const again = await chain.send(authority, await mintInstructions(chain, authority, token, one));
      assert.match('failed' in again ? again.failed : '', /^InstructionError\(1, Custom\(0\)\)/);
      assert.equal(await held(chain, token, one.wallet), 12_500);
    });

    it('are minted although a stranger sent the address of the record a coin', async () => {
      const { chain, authority } = house;
      const stranger = await generateKeyPairSigner();
      chain.fund(stranger.address, 1);
      const record = await recordOf(authority.address, 'k1');
      await chain.send(stranger, [
        getTransferSolInstruction({ source: stranger, destination: record, amount: chain.rentOf(0) }),
      ]);
      const minter = await createMinter(chain, authority);
      assert.deepEqual([await isRecorded(chain, record), (await minter.ask('k1')).status], [false, 404]);
      const { status } = await minter.mint('k1', order(await newWallet()));
      assert.deepEqual([status, await isRecorded(chain, record)], [201, true]);
    });

    it('are not said to be unknown while an earlier process may have them on their way', async () => {
      let now = 0;
      const minter = await createMinter(house.chain, house.authority, { settleMs: 90_000, now: () => now });
      assert.equal((await minter.ask('k1')).status, 202);
      now = 90_000;
      assert.equal((await minter.ask('k1')).status, 404);
    });

    it('are no word about the reading while nobody pays the fee', async () => {
      const { chain, token } = house;
      const poor = await generateKeyPairSigner();
      chain.fund(poor.address, 0.0024);
      const minter = await createMinter(chain, poor);
      const wallet = await newWallet();
      assert.equal((await minter.mint('k1', order(wallet))).status, 503);
      chain.fund(poor.address, 1);
      assert.equal((await minter.mint('k1', order(wallet))).status, 201);
      assert.equal(await supply(chain, token), 0, 'a token of its own');
    });

    const wrong: readonly (readonly [
      what: string,
      key: string | undefined,
      body: unknown,
      reason: RegExp,
    ])[] = [
      ['without a key', undefined, order('11111111111111111111111111111112'), /Idempotency-Key/],
      ['for a wallet that is no address', 'k', order('nobody'), /not an address/],
      [
        'for an address off the curve',
        'k',
        order('DemoWa11etMeterf1owNobodyHasAKeyToThisone115'),
        /nobody has a key/,
      ],
      ['of 0 kWh', 'k', order('DemoWa11etMeterf1owNobodyHasAKeyToThisone111', 0), /above 0/],
      ['of five decimals', 'k', order('DemoWa11etMeterf1owNobodyHasAKeyToThisone111', 0.00001), /4 decimals/],
      ['of a text', 'k', order('DemoWa11etMeterf1owNobodyHasAKeyToThisone111', '1.25'), /above 0/],
      ['of nothing', 'k', null, /not an address/],
    ];
    for (const [what, key, body, reason] of wrong) {
      it(`are refused ${what}`, async () => {
        const said = await (await createMinter(house.chain, house.authority)).mint(key, body);
        assert.equal(said.status, 422);
        assert.match((said.body as { reason: string }).reason, reason);
        assert.equal(await supply(house.chain, house.token), 0);
      });
    }

    it('are refused under a key that was minted for another wallet or amount', async () => {
      const minter = await createMinter(house.chain, house.authority);
      const wallet = await newWallet();
      const first = await minter.mint('k1', order(wallet));
      assert.equal((await minter.mint('k1', order(wallet, 1.26))).status, 422);
      assert.equal((await minter.mint('k1', order(await newWallet()))).status, 422);
      assert.equal(signatureOf(await minter.ask('k1')), signatureOf(first));
      assert.equal(await supply(house.chain, house.token), 12_500);
    });
  });

  it('come from one command, as its README says', async () => {
    const child = spawn(process.execPath, ['--require', 'tsx/cjs', 'examples/minting-solana/start.ts', '0'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      const url = /^MINTING_URL=(\S+)$/m.exec(line.toString())?.[1] ?? assert.fail(line.toString());
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'idempotency-key': 'reading-METER001-1795176000000000' },
        body: JSON.stringify({
          wallet_address: address('DemoWa11etMeterf1owNobodyHasAKeyToThisone111'),
          kwh_amount: 1.25,
        }),
      });
      const said = (await answer.json()) as { tx_signature: string };
      assert.match(said.tx_signature, /^[1-9A-HJ-NP-Za-km-z]{80,90}$/);
      const asked = await fetch(`${url}/reading-METER001-1795176000000000`);
      assert.deepEqual([asked.status, await asked.json()], [200, said]);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
});
