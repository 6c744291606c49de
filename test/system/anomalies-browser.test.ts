import assert from 'node:assert/strict';
import type { MqttClient } from 'mqtt';
import { startHouse, type House } from '../flows/house.js';
import { keepScreenshot, openBrowser, openPage, type Browser, type Page } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';

describe('an operator with the page Anomalies', function () {
  this.timeout(180_000);
  let proxy: FaultProxy;
  let house: House;
  let browser: Browser;
  let page: Page;
  let meter: MqttClient;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse({}, async (url) => {
      const { hostname, port } = new URL(url);
      proxy = await startFaultProxy({ host: hostname, port: Number(port) });
      return through(proxy, url);
    });
    meter = await house.connect(await house.register('METER001'));
    browser = await openBrowser();
    page = await open('anomalies');
  });
  after(async () => {
    await browser?.close();
    await house?.close();
    await proxy?.close();
  });

  async function open(name: string): Promise<Page> {
    const opened = await openPage(browser, 1440, 900);
    opened.on('pageerror', (error) => problems.push(error.message));
    await opened.goto(`${house.appliance.url}/dashboard/${name}`);
    return opened;
  }

  const rows = () => page.locator('.mfa-table tbody tr');
  const empty = () => page.locator('.mfa-empty').innerText();

  it('reads that all is calm', async () => {
    await eventually(async () => assert.match(await empty(), /All is calm/), { timeoutMs: 20_000 });
    await keepScreenshot(page, 'anomalies-calm');
  });

  it('sees a burst of malformed messages as soon as it is noticed, without a click [H-23]', async () => {
    for (let n = 0; n < 10; n += 1) {
      await meter.publishAsync('meters/METER001/readings', `<b onclick=alert(1)>${n}`, { qos: 1 });
    }
    // The page asks every five seconds; this comes by itself.
    await eventually(async () => assert.equal(await rows().count(), 1), { timeoutMs: 4000 });
    try {
      assert.match(
        await rows().first().innerText(),
        /\d\d:\d\d:\d\d[\s\S]*Malformed burst[\s\S]*METER001[\s\S]*10 readings within a minute[\s\S]*10$/,
      );
    } finally {
      await keepScreenshot(page, 'anomalies');
    }
  });

  it('filters by kind', async () => {
    await page.locator('[data-kind="silent_meter"]').click();
    await eventually(async () => assert.match(await empty(), /All is calm[\s\S]*of this kind/));
    await page.locator('[data-kind="malformed_burst"]').click();
    await eventually(async () => assert.equal(await rows().count(), 1));
  });

  it('comes there from the dashboard', async () => {
    await page.goto(`${house.appliance.url}/dashboard`);
    await page.locator('.v-navigation-drawer a[href$="/anomalies"]').click();
    await eventually(async () => assert.equal(await rows().count(), 1), { timeoutMs: 10_000 });
  });

  it('is told in a sentence that the database is away, here and in Quarantine, and when it is back', async () => {
    const quarantine = await open('quarantine');
    await eventually(async () => assert.equal(await quarantine.locator('.mfq-table tbody tr').count(), 10));
    proxy.cut();
    // Opened while it is away: not a single answer so far.
    const fresh = [await open('anomalies'), await open('quarantine')];
    const sentence = /^The database is away: .+\./;
    const reads = (shown: Page, where: string, pattern: RegExp) =>
      eventually(async () => assert.match(await shown.locator(where).innerText(), pattern), {
        timeoutMs: 30_000,
      });
    try {
      await reads(page, '.mfa-notice', sentence);
      await reads(quarantine, '.mfq-failure', sentence);
      await reads(fresh[0] ?? page, '.mfa-empty', sentence);
      await reads(fresh[1] ?? page, '.mfq-failure', sentence);
      assert.equal(await rows().count(), 1, 'what was known stays');
      assert.equal(await quarantine.locator('.mfq-table tbody tr').count(), 10);
    } finally {
      await keepScreenshot(page, 'anomalies-away');
      await keepScreenshot(fresh[0] ?? page, 'anomalies-away-fresh');
      await keepScreenshot(fresh[1] ?? page, 'quarantine-away');
      proxy.pass();
    }
    for (const shown of [page, quarantine, ...fresh]) {
      await eventually(
        async () => {
          assert.ok((await shown.locator('tbody tr').count()) > 0);
          assert.equal(await shown.locator('.mfa-notice, .mfq-failure').count(), 0);
        },
        { timeoutMs: 30_000 },
      );
    }
  });

  it('has no error in the page', () => assert.deepEqual(problems, []));
});
