import assert from 'node:assert/strict';
import type { MqttClient } from 'mqtt';
import { quarter, startHouse, type House } from '../flows/house.js';
import {
  bunchAnswers,
  keepScreenshot,
  openBrowser,
  openPage,
  type Browser,
  type Page,
} from '../support/browser.js';
import { eventually } from '../support/eventually.js';

describe('an operator with the page Quarantine', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  let page: Page;
  let meter: MqttClient;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse();
    meter = await house.connect(await house.register('METER001'));
    const send = (payload: string | object) =>
      meter.publishAsync(
        'meters/METER001/readings',
        typeof payload === 'string' ? payload : JSON.stringify(payload),
        { qos: 1 },
      );
    await send({ kwh_amount: 1, reading_timestamp: quarter(4) });
    for (let minutes = 1; minutes <= 5; minutes += 1) {
      const close = new Date(Date.parse(quarter(4)) + minutes * 60_000).toISOString();
      await send({ kwh_amount: 1, reading_timestamp: close });
    }
    await send({ kwh_amount: 1.25, reading_timestamp: '2020-01-01T00:00:00Z' });
    await send({ meter_id: 'METER007', kwh_amount: 1, reading_timestamp: quarter(9) });
    await send({ kwh_amount: 4000, reading_timestamp: quarter(9) });
    await send('{"kwh_amount": "1.0", "firmware": "<b onclick=alert(1)>3.1</b>"');
    browser = await openBrowser();
    page = await openPage(browser, 1440, 900);
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${house.appliance.url}/dashboard/quarantine`);
  });
  after(async () => {
    await browser?.close();
    await house?.close();
  });

  const rows = () => page.locator('.mfq-table tbody tr');
  const card = (code: string) => page.locator(`.mfq-card[data-code="${code}"]`);

  it('sees what was refused, with code, meter, reason, time and payload, and counts by code', async () => {
    await eventually(async () => assert.equal(await rows().count(), 9), { timeoutMs: 20_000 });
    try {
      const newest = await rows().first().innerText();
      assert.match(newest, /METER001[\s\S]*SCHEMA_INVALID[\s\S]*not JSON[\s\S]*<b onclick/);
      assert.match(newest, /\d\d:\d\d:\d\d/);
      assert.match(await card('TOO_CLOSE').innerText(), /^5\s/);
      assert.match(await page.locator('.mfq-card').first().innerText(), /^9\s/);
    } finally {
      await keepScreenshot(page, 'quarantine');
    }
  });

  it('loses no answer of several that come at once', async () => {
    const other = await openPage(browser, 1000, 700);
    other.on('pageerror', (error) => problems.push(error.message));
    await other.goto(`${house.appliance.url}/dashboard/quarantine`);
    await other.locator('.mfq-table tbody tr').first().waitFor({ timeout: 20_000 });
    await bunchAnswers(other);
    await meter.publishAsync('meters/METER001/readings', 'not JSON either', { qos: 1 });
    // The page asks for list and counts together, every five seconds.
    await eventually(
      async () => {
        const counted = await other.locator('.mfq-card b').first().innerText();
        assert.deepEqual([await other.locator('.mfq-table tbody tr').count(), counted], [10, '10']);
      },
      { timeoutMs: 15_000 },
    );
    await house.rows(`delete from quarantined_messages where payload = 'not JSON either'`);
    await other.close();
  });

  it('filters by code', async () => {
    await card('TOO_CLOSE').click();
    await eventually(async () => assert.equal(await rows().count(), 5));
    for (const text of await rows().allInnerTexts()) assert.match(text, /TOO_CLOSE/);
    await card('TIMESTAMP_OUT_OF_WINDOW').click();
    await eventually(async () => assert.equal(await rows().count(), 1));
  });

  it('sets the clock right and replays, after a confirmation', async () => {
    await rows().first().locator('.mfq-replay').click();
    const dialog = page.getByRole('dialog');
    await dialog.locator('select').selectOption('reading_timestamp');
    await dialog.locator('input').fill(quarter(1));
    await keepScreenshot(page, 'quarantine-replay');
    assert.equal(await house.value('select count(*)::int from meter_readings'), 1, 'nothing before the yes');
    await dialog.getByRole('button', { name: 'Replay' }).click();
    await eventually(async () => assert.match(await page.getByRole('status').innerText(), /stored/));
    await eventually(async () => assert.equal(await rows().count(), 0));
    assert.equal(await house.value('select count(*)::int from meter_readings'), 2);
    await page.getByRole('button', { name: 'Settled', exact: true }).click();
    await eventually(async () => assert.match(await rows().first().innerText(), /stored/));
  });

  it('is told why a replay was refused again', async () => {
    await page.getByRole('button', { name: 'Open', exact: true }).click();
    await card('METER_MISMATCH').click();
    await eventually(async () => assert.equal(await rows().count(), 1));
    await rows().first().locator('.mfq-replay').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click();
    await eventually(async () => assert.match(await page.getByRole('status').innerText(), /METER007/));
    await eventually(async () => assert.match(await rows().first().innerText(), /still METER_MISMATCH/));
  });

  it('replays all of a code at once', async () => {
    await card('TOO_CLOSE').click();
    await page.getByRole('button', { name: 'Replay all' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click();
    await eventually(async () =>
      assert.match(await page.getByRole('status').innerText(), /0 stored, 0 known already, 5 refused again/),
    );
    await keepScreenshot(page, 'quarantine-many');
  });

  it('deletes, after a confirmation', async () => {
    await card('KWH_OUT_OF_RANGE').click();
    await eventually(async () => assert.equal(await rows().count(), 1));
    await rows().first().locator('.mfq-delete').click();
    await keepScreenshot(page, 'quarantine-delete');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await rows().count(), 1);
    await rows().first().locator('.mfq-delete').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
    await eventually(async () => assert.equal(await rows().count(), 0));
    const address = await house.value(`select address from audit_log where action = 'quarantine.deleted'`);
    assert.match(String(address), /127\.0\.0\.1|::1/);
  });

  it('has a filter of its own beside another operator', async () => {
    const other = await openPage(browser, 1000, 700);
    other.on('pageerror', (error) => problems.push(error.message));
    await other.goto(`${house.appliance.url}/dashboard/quarantine`);
    await eventually(async () => assert.equal(await other.locator('.mfq-table tbody tr').count(), 7), {
      timeoutMs: 20_000,
    });
    assert.equal(await rows().count(), 0);
    await keepScreenshot(other, 'quarantine-small');
    await other.close();
  });

  it('comes there from the dashboard', async () => {
    await page.goto(`${house.appliance.url}/dashboard`);
    await page.locator('.v-navigation-drawer a[href$="/quarantine"]').click();
    await page.locator('.mfq-codes').waitFor();
  });

  it('has no error in the page', () => assert.deepEqual(problems, []));
});
