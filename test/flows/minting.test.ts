import assert from 'node:assert/strict';
import type { MintAnswer, MintRequest } from '../../src/minting/mint-request.js';
import type { UnmintedReading, UnmintedWallet } from '../../src/minting/unminted.js';
import { listenTo, type Listener } from '../live/listener.js';
import { keepScreenshot, openBrowser, openPage } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { assertDocumented } from '../support/live-messages.js';
import { quarter, startHouse, type House } from './house.js';

interface Page<Row> {
  readonly data: Row[];
  readonly total: number;
  readonly totals: { readonly readings: number; readonly kwh: number };
  readonly not_mintable: Readonly<Record<'mock' | 'no_wallet', { readings: number; kwh: number }>>;
}

/** [H-16], [L-1] MeterReadingMinted: the shipped tabs with the simulated service of the demo. */
describe('the tab Minting', function () {
  this.timeout(180_000);
  let house: House;
  let listener: Listener;
  before(async () => {
    house = await startHouse();
    listener = await listenTo(`${house.appliance.url.replace('http:', 'ws:')}/ws?events=MeterReadingMinted`);
    await house.register('METER001');
  });
  after(async () => {
    listener?.ws.terminate();
    await house?.close();
  });

  const get = async <T>(path: string): Promise<T> =>
    (await house.request('GET', `/api/admin/meters/${path}`)).body as unknown as T;
  const mint = async (reading_id: unknown, more: object = {}): Promise<[number, MintAnswer & Failed]> => {
    const { status, body } = await house.request('POST', '/api/admin/meters/mint-from-reading', {
      reading_id,
      ...more,
    });
    return [status, body as unknown as MintAnswer & Failed];
  };
  interface Failed {
    readonly error?: { readonly code: string };
  }
  async function submit(meter_id: string, quarters: number): Promise<number> {
    const reading_timestamp = quarter(quarters);
    const { status } = await house.request('POST', '/api/meters/submit-reading', {
      meter_id,
      kwh_amount: 1.25,
      reading_timestamp,
    });
    assert.equal(status, 201);
    // Not the highest: connections take their ids ahead.
    const id = await house.value(
      'select id::float8 from meter_readings where meter_id = $1 and reading_timestamp = $2',
      meter_id,
      reading_timestamp,
    );
    return Number(id);
  }
  /** Owned by somebody with this wallet. */
  async function meterOf(meter: string, wallet: string | null): Promise<void> {
    await house.rows(
      `insert into users (email, wallet_address) values ($1, $2) on conflict do nothing`,
      meter,
      wallet,
    );
    const user_id = await house.value('select id::text from users where email = $1', meter);
    await house.register(meter, { user_id });
  }

  it('lists a reading, has it minted, and tells it on /ws', async () => {
    const id = await submit('METER001', 1);
    const listed = await get<Page<UnmintedReading>>('unminted?meter_id=METER001');
    assert.deepEqual([listed.total, listed.totals], [1, { readings: 1, kwh: 1.25 }]);
    assert.deepEqual([listed.data[0]?.reading_id, listed.data[0]?.mintable], [id, true]);
    const wallet = listed.data[0]?.wallet_address;
    assert.ok(wallet);

    const [status, asked] = await mint(id);
    assert.deepEqual([status, asked.state, asked.tx_signature], [202, 'waiting', null]);
    const minted = await eventually(async () => {
      const [again, answer] = await mint(String(id));
      return again === 200 && answer;
    });
    assert.match(minted.tx_signature ?? '', /^[1-9A-HJ-NP-Za-km-z]{80,90}$/);
    assert.deepEqual([minted.state, minted.request?.id], ['minted', asked.request?.id]);

    await eventually(() => assert.equal(listener.told.length, 1));
    assertDocumented(listener.told);
    const [told] = listener.told;
    assert.deepEqual(told?.data, {
      reading_id: id,
      tx_signature: minted.tx_signature,
      amount: 1.25,
      meter_id: 'METER001',
    });
    assert.equal((await get<Page<UnmintedReading>>('unminted?meter_id=METER001')).total, 0);
    const stats = (await house.request('GET', '/api/meters/stats')).body as unknown as Record<string, number>;
    assert.deepEqual([stats['minted_kwh'], stats['unminted_kwh']], [1.25, 0]);
  });

  it('mints once although the answer of the service is lost', async () => {
    await meterOf('LOSER', 'wallet-of-somebody-lose');
    const id = await submit('LOSER', 1);
    assert.equal((await mint(id))[0], 202);
    const request = await eventually(async () => {
      const [one] = (await get<{ data: MintRequest[] }>('mint-requests?meter_id=LOSER')).data;
      return one?.state === 'minted' && one;
    });
    assert.equal(request.attempts, 2, 'the second one asked by the key');
    const one = await get<MintRequest>(`mint-requests/${request.id}`);
    assert.deepEqual(one, request);
    assert.equal(listener.told.filter(({ data }) => data['reading_id'] === id).length, 1);
  });

  it('shows who was refused, and tries it once more when told so', async () => {
    await meterOf('UNLUCKY', 'wallet-of-somebody-refuse');
    const id = await submit('UNLUCKY', 1);
    assert.equal((await mint(id))[0], 202);
    await eventually(async () => {
      const { data } = await get<{ data: MintRequest[] }>('mint-requests?state=refused');
      assert.deepEqual(
        data.map(({ meter_id, reason }) => [meter_id, reason]),
        [['UNLUCKY', 'Refused by the simulated minting service.']],
      );
    });
    const [status, { error }] = await mint(id);
    assert.deepEqual([status, error?.code], [409, 'MINT_REFUSED']);
    await house.rows(`update users set wallet_address = 'a-better-wallet' where email = 'UNLUCKY'`);
    assert.equal((await mint(id, { again: true }))[0], 202);
    await eventually(async () => assert.equal((await mint(id))[0], 200));
    assert.equal((await mint(id))[1].request?.wallet_address, 'a-better-wallet');
  });

  it('mints nothing of a mock device, or for nobody', async () => {
    await meterOf('POOR', null);
    const poor = await submit('POOR', 1);
    await house.register('DOUBLE');
    const double = await submit('DOUBLE', 1);
    await house.rows(`update devices set mock = true where meter_id = 'DOUBLE'`);
    const codeOf = async (id: number): Promise<unknown[]> => {
      const [status, { error }] = await mint(id);
      return [status, error?.code];
    };
    assert.deepEqual(await codeOf(poor), [422, 'WALLET_MISSING']);
    assert.deepEqual(await codeOf(double), [422, 'READING_OF_MOCK']);
    assert.deepEqual(await codeOf(999_999_999), [404, 'READING_UNKNOWN']);
    const [wrong] = await mint('1; drop table users');
    assert.equal(wrong, 400);

    const usual = await get<Page<UnmintedReading>>('unminted');
    assert.deepEqual(usual.data, []);
    assert.deepEqual(usual.not_mintable, {
      mock: { readings: 1, kwh: 1.25 },
      no_wallet: { readings: 1, kwh: 1.25 },
    });
    const others = await get<Page<UnmintedReading>>('unminted?mintable=false&sort=meter_id&order=asc');
    assert.deepEqual(
      others.data.map(({ meter_id, reason }) => [meter_id, reason]),
      [
        ['DOUBLE', 'mock'],
        ['POOR', 'no_wallet'],
      ],
    );
  });

  it('sums up what each wallet has to come', async () => {
    await meterOf('RICH', 'wallet-rich');
    for (const quarters of [1, 2, 3]) await submit('RICH', quarters);
    const { data, total } = await get<Page<UnmintedWallet>>('unminted/wallets');
    assert.deepEqual(
      data.map(({ wallet_address, readings, meters, kwh }) => [wallet_address, readings, meters, kwh]),
      [['wallet-rich', 3, 1, 3.75]],
    );
    assert.equal(total, 1);
    const of = await get<Page<UnmintedReading>>('unminted?wallet_address=wallet-rich&limit=2&order=asc');
    assert.deepEqual([of.data.length, of.total, of.totals.kwh], [2, 3, 3.75]);
    assert.ok(
      of.data[0]?.reading_timestamp && of.data[0].reading_timestamp < (of.data[1]?.reading_timestamp ?? 0),
    );
    assert.equal((await get<Page<UnmintedReading>>('unminted?wallet_address=nobody')).total, 0);
  });

  it('is shown on the page Minting of the dashboard, and done from there', async () => {
    const browser = await openBrowser();
    try {
      const page = await openPage(browser, 1440, 1000);
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      await page.goto(`${house.appliance.url}/dashboard/minting`);
      const patience = { timeoutMs: 30_000, intervalMs: 100 };
      const shows = (where: string, text: RegExp) =>
        eventually(async () => assert.match(await page.locator(where).first().innerText(), text), patience);

      await shows('[data-wallet="wallet-rich"]', /wallet-rich\s+1\s+3\s+3\.7500/);
      await shows('[data-card="unminted"]', /^3\.8 kWh · 3 readings/);
      await shows('.mfkq tbody', /LOSER[\s\S]*minted[\s\S]*2 attempts/);
      await page.locator('.mfkr-others').click();
      await eventually(async () => {
        const text = await page.locator('.mfkr tbody').innerText();
        assert.match(text, /POOR[^\n]*\s.*no wallet/);
        assert.match(text, /DOUBLE[^\n]*\s.*mock/);
      }, patience);

      await page.locator('[data-wallet="wallet-rich"]').click();
      await page.locator('.mfkr .mfk-switch button').first().click();
      await eventually(async () => assert.equal(await page.locator('.mfkr tbody tr').count(), 3), patience);
      const told = listener.told.length;
      await page.locator('.mfkr-mint').first().click();
      await shows('.mfkq tbody tr', /RICH[\s\S]*minted/);
      await shows('[data-wallet="wallet-rich"]', /wallet-rich\s+1\s+2\s+2\.5000/);
      await page.locator('.mfkr-all', { hasText: 'Mint these 2' }).click();
      await shows('[data-card="unminted"]', /^0 kWh · 0 readings/);
      await eventually(() => assert.equal(listener.told.length, told + 3));

      await house.rows(`update users set wallet_address = 'an-unlucky-one-refuse' where email = 'RICH'`);
      const id = await submit('RICH', 4);
      assert.equal((await mint(id))[0], 202);
      const row = `[data-request="${id}"]`;
      await shows(row, /refused[\s\S]*Refused by the simulated minting service/);
      await keepScreenshot(page, 'minting');
      await house.rows(`update users set wallet_address = 'wallet-rich' where email = 'RICH'`);
      await page.locator(`${row} .mfkq-again`).click();
      await shows(row, /minted/);
      assert.deepEqual(problems, []);
    } finally {
      await browser.close();
    }
  });
});
