import assert from 'node:assert/strict';
import type { MqttClient } from 'mqtt';
import { startHouse, type House } from '../flows/house.js';
import { c2bBody, receiptOf } from '../payments/callbacks.js';
import { keepScreenshot, openBrowser, openPage, type Browser, type Page } from '../support/browser.js';
import { eventually } from '../support/eventually.js';

const secret = 'a-secret-of-the-test-0123456789';
const patience = { timeoutMs: 30_000, intervalMs: 100 };

/** The shipped flows end to end: a played customer, a real callback, the ledger, MQTT, a virtual meter, the page. */
describe('an operator with the page Payments', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse({ VIRTUAL_METERS: '2', PAYMENT_CALLBACK_SECRET: secret });
    browser = await openBrowser();
    page = await openPage(browser, 1440, 1300);
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${house.appliance.url}/dashboard/payments`);
  });
  after(async () => {
    await browser?.close();
    await house?.close();
  });

  const row = (meter: string) => page.locator(`.mfpm tr[data-meter="${meter}"]`);
  const payment = (receipt: string) => page.locator(`.mfpp tr[data-receipt="${receipt}"]`);
  const dialog = () => page.getByRole('dialog');
  const notice = (widget: string) => page.locator(`.${widget} [role="status"]`);
  /** What the table says: units and relay. */
  async function shown(meter: string): Promise<{ units: number; relay: string; text: string }> {
    const text = await row(meter).innerText();
    return {
      units: Number(/(-?\d+\.\d{4})/.exec(text)?.[1]),
      relay: await row(meter).locator('.mfp-relay').innerText(),
      text,
    };
  }
  async function until(
    meter: string,
    isSo: (now: Awaited<ReturnType<typeof shown>>) => boolean,
  ): Promise<void> {
    await eventually(async () => {
      const now = await shown(meter);
      assert.ok(isSo(now), now.text);
    }, patience);
  }
  const receiptsOf = async (meter: string): Promise<string[]> =>
    (
      await house.rows(`select receipt from payments where meter_id = $1 and outcome = 'accepted'`, meter)
    ).map(({ receipt }) => String(receipt));
  async function takeBackAll(meter: string): Promise<void> {
    for (const receipt of await receiptsOf(meter))
      assert.equal((await house.request('POST', `/api/admin/payments/${receipt}/reverse`, {})).status, 200);
  }
  /** As the provider confirms a paid bill. */
  async function confirmBill(number: number, BillRefNumber: string, TransAmount = '100.00'): Promise<void> {
    const body = c2bBody({ TransID: receiptOf(number), BillRefNumber, TransAmount });
    const { status } = await house.request('POST', `/api/payments/c2b/confirmation/${secret}`, body);
    assert.equal(status, 200);
  }

  it('finds each meter of the demo with a first payment, and its relay on', async () => {
    try {
      for (const meter of ['DEMO-01', 'DEMO-02'])
        await until(
          meter,
          ({ units, relay, text }) => units > 3 && relay === 'on' && /confirmed \d/.test(text),
        );
      await eventually(async () => assert.equal(await page.locator('.mfpp tbody tr').count(), 2), patience);
      assert.match(await page.locator('.mfpn').innerText(), /200 KES · 2 payments/);
    } finally {
      await keepScreenshot(page, 'payments');
    }
  });

  it('takes a payment back, after a confirmation, and the relay goes off', async () => {
    const [receipt = ''] = await receiptsOf('DEMO-02');
    await payment(receipt).locator('.mfpp-reverse').click();
    await dialog().locator('input').fill('Paid for the neighbour');
    await keepScreenshot(page, 'payments-take-back');
    assert.equal(await house.value(`select count(*)::int from payments where outcome = 'reversal'`), 0);
    await dialog().getByRole('button', { name: 'Take back' }).click();
    await eventually(async () => assert.match(await notice('mfpp').innerText(), /taken back/), patience);
    await until('DEMO-02', ({ units, relay }) => units <= 0 && relay === 'off');
    assert.match(await payment(receipt).first().innerText(), /takes back[\s\S]*Paid for the neighbour/);
  });

  it('pays: the balance rises, the meter confirms, the relay goes on, without a click more', async () => {
    await page.locator('.mfpm-amount').fill('250');
    await row('DEMO-02').locator('.mfpm-pay').click();
    await until(
      'DEMO-02',
      ({ units, relay, text }) => units > 9 && relay === 'on' && /confirmed \d/.test(text),
    );
    await keepScreenshot(page, 'payments-paid');
    const sent = await house.rows(
      `select outcome from outbox where kind = 'balance' and subject = 'DEMO-02' order by id desc limit 1`,
    );
    assert.deepEqual(sent, [{ outcome: 'confirmed' }]);
  });

  it('shows of the meter that was paid for its balance, its curve and its statement', async () => {
    const meter = page.locator('.mfpo');
    await eventually(async () => {
      assert.equal(await meter.locator('h2').innerText(), 'DEMO-02');
      const lines = await meter.locator('.mfpo-statement tbody tr').allInnerTexts();
      const kinds = lines.map((line) => /Payment|Taken back|Consumption/.exec(line)?.[0]);
      assert.equal(kinds.filter((kind) => kind === 'Payment').length, 2, lines.join('\n'));
      assert.ok(kinds.includes('Taken back'));
      const curve = await meter.locator('.mfpo-line').getAttribute('d');
      assert.ok((curve ?? '').split('H').length > 3, curve ?? '');
    }, patience);
    const { body } = await house.request('GET', '/api/meters/DEMO-02/balance');
    const { balance } = body as unknown as { balance: number };
    await eventually(async () =>
      assert.ok(Math.abs(Number(await meter.locator('.mfpo-balance').innerText()) - balance) < 0.5),
    );
  });

  it('pays for a meter without network, which hears of it when it is back', async () => {
    await takeBackAll('DEMO-01');
    await until('DEMO-01', ({ relay }) => relay === 'off');
    await row('DEMO-01').locator('[data-act="cut"]').click();
    await eventually(
      async () => assert.equal(await row('DEMO-01').locator('.mfp-dot.mfp-on').count(), 0),
      patience,
    );
    await row('DEMO-01').locator('.mfpm-pay').click();
    await until(
      'DEMO-01',
      ({ units, relay, text }) => units > 9 && relay === 'off' && /not confirmed|waits/.test(text),
    );
    await keepScreenshot(page, 'payments-cut');
    await row('DEMO-01').locator('[data-act="restore"]').click();
    await until('DEMO-01', ({ relay, text }) => relay === 'on' && /confirmed \d/.test(text));
  });

  it('sees a meter consume to zero: its relay goes off, and it is among the low ones', async () => {
    const login = await house.register('METER001', { name: 'Kitchen' });
    const meter = await house.connect(login);
    await answering(meter, 'METER001');
    await confirmBill(1, 'METER001');
    await until('METER001', ({ units, relay }) => units === 4 && relay === 'on');
    for (const [used, left] of [
      [3.5, 0.5],
      [0.5, 0],
    ] as const) {
      await meter.publishAsync('smartmeter/METER001/consumption', report('METER001', used, left), { qos: 1 });
    }
    await until('METER001', ({ units, relay }) => units === 0 && relay === 'off');
    await page.locator('.mfpm-low').click();
    await eventually(async () => {
      assert.equal(await row('METER001').count(), 1);
      assert.equal(await row('DEMO-02').count(), 0);
    }, patience);
    await page.getByRole('button', { name: 'All', exact: true }).first().click();
  });

  it('allocates money that named no meter, after a confirmation', async () => {
    await confirmBill(2, 'METER0O1 <b>kitchen</b>', '62.50');
    const waiting = page.locator(`.mfps tr[data-receipt="${receiptOf(2)}"]`);
    await eventually(
      async () => assert.match(await waiting.innerText(), /METER0O1 <b>kitchen<\/b>/),
      patience,
    );
    await waiting.locator('.mfps-allocate').click();
    await dialog().locator('input').fill('NOBODY');
    await dialog().getByRole('button', { name: 'Allocate' }).click();
    await eventually(async () => assert.match(await notice('mfps').innerText(), /No meter/), patience);
    await waiting.locator('.mfps-allocate').click();
    await dialog().locator('input').fill('METER001');
    await keepScreenshot(page, 'payments-allocate');
    await dialog().getByRole('button', { name: 'Allocate' }).click();
    await eventually(
      async () => assert.match(await notice('mfps').innerText(), /METER001: 2\.5000 units/),
      patience,
    );
    await until('METER001', ({ units, relay }) => units === 2.5 && relay === 'on');
    await eventually(async () => assert.equal(await waiting.count(), 0));
    const address = await house.value(`select address from audit_log where action = 'payment.allocated'`);
    assert.match(String(address), /127\.0\.0\.1|::1/);
  });

  it('credits a disputed payment that was good money, with what was found out', async () => {
    await confirmBill(4, 'METER001', 'a hundred');
    await page.getByRole('button', { name: 'Disputed' }).click();
    await eventually(
      async () => assert.match(await payment(receiptOf(4)).innerText(), /names no right amount/),
      patience,
    );
    await payment(receiptOf(4)).locator('.mfpp-credit').click();
    await dialog().getByLabel('Amount').fill('100');
    await dialog().getByLabel('What was found out').fill('seen in the portal');
    await keepScreenshot(page, 'payments-credit');
    await dialog().getByRole('button', { name: 'Credit', exact: true }).click();
    await eventually(
      async () => assert.match(await notice('mfpp').innerText(), /is credited: 4 units for METER001/),
      patience,
    );
    await until('METER001', ({ units }) => units > 6.4 && units <= 6.5);
    await eventually(async () => assert.equal(await payment(receiptOf(4)).count(), 0), patience);
    await page.getByRole('button', { name: 'All', exact: true }).last().click();
    await eventually(
      async () =>
        assert.match(
          (await payment(receiptOf(4)).allInnerTexts()).join(' '),
          /by hand[^]*was disputed, then credited/,
        ),
      patience,
    );
  });

  it('is shown a meter that disagrees with the ledger', async () => {
    const meter = await house.connect(await house.register('METER002'));
    await answering(meter, 'METER002');
    await confirmBill(3, 'METER002');
    // What it says while a balance is on its way to it would prove nothing.
    await until('METER002', ({ units, text }) => units === 4 && /confirmed \d/.test(text));
    await meter.publishAsync('smartmeter/METER002/consumption', report('METER002', 0.1, 42), { qos: 1 });
    const drift = page.locator('.mfpd tr[data-meter="METER002"]');
    await eventually(
      async () => assert.match(await drift.innerText(), /3\.9000[\s\S]*42\.0000[\s\S]*38\.1000/),
      patience,
    );
    await keepScreenshot(page, 'payments-drift');
  });

  it('finds the page on a small screen, from the dashboard', async () => {
    const small = await openPage(browser, 700, 900);
    small.on('pageerror', (error) => problems.push(error.message));
    await small.goto(`${house.appliance.url}/dashboard`);
    await small.locator('.v-navigation-drawer a[href$="/payments"]').waitFor({ state: 'attached' });
    await small.goto(`${house.appliance.url}/dashboard/payments`);
    await small.locator('.mfpm tbody tr').first().waitFor();
    await keepScreenshot(small, 'payments-small');
    await small.close();
  });

  it('has no error in the page', () => assert.deepEqual(problems, []));
});

function report(meterNo: string, unitsConsumed: number, remainingBalance: number): string {
  return JSON.stringify({ meterNo, unitsConsumed, remainingBalance, timestamp: Date.now() });
}

/** A meter that takes over every balance and says so ([M-4]). */
async function answering(meter: MqttClient, meterNo: string): Promise<void> {
  meter.on('message', (_topic, payload) => {
    const { balance } = JSON.parse(payload.toString()) as { balance: number };
    const said = { meterNo, balance, timestamp: Date.now() };
    meter.publish(`smartmeter/${meterNo}/balance`, JSON.stringify(said));
  });
  await meter.subscribeAsync(`smartmeter/${meterNo}/command/balance`, { qos: 1 });
}
