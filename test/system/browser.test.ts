import assert from 'node:assert/strict';
import { eventually } from '../support/eventually.js';
import {
  keepScreenshot,
  nodesOnTab,
  openBrowser,
  openPage,
  openTab,
  type Browser,
  type Page,
} from '../support/browser.js';
import { startHouse, type House } from '../flows/house.js';

const virtualMeters = 6;

describe('a newcomer with a browser', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse({ VIRTUAL_METERS: String(virtualMeters) });
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await house?.close();
  });

  async function page(width: number, height: number): Promise<Page> {
    const opened = await openPage(browser, width, height);
    opened.on('pageerror', (error) => problems.push(error.message));
    return opened;
  }

  for (const tab of ['Ingestion', 'Devices', 'Readings API', 'Virtual meters', 'Dashboard']) {
    it(`finds the tab ${tab} with every node in order`, async () => {
      const editor = await page(1440, 900);
      await openTab(editor, house.appliance.url, tab);
      try {
        await eventually(async () => {
          const nodes = await nodesOnTab(editor);
          const notReady = nodes.filter(
            ({ invalid, tone }) => invalid || tone === 'red' || tone === 'yellow',
          );
          assert.deepEqual(notReady, []);
          if (tab === 'Ingestion') {
            // At work, each of them says how much, in green.
            for (const name of [
              'Meters connect',
              'Check readings',
              'Store readings',
              'Keep messages',
              'Who is online',
            ]) {
              const node = nodes.find((each) => each.name === name);
              assert.equal(node?.tone, 'green', `${name}: ${node?.status}`);
              assert.match(node?.status ?? '', /\d/, name);
            }
          }
        });
      } finally {
        await keepScreenshot(editor, `editor-${tab.toLowerCase().replaceAll(' ', '-')}`);
        await editor.close();
      }
    });
  }

  it('sees the virtual meters, their day and their power on the dashboard', async () => {
    const dashboard = await page(1440, 900);
    await dashboard.goto(`${house.appliance.url}/dashboard`);
    try {
      await eventually(
        async () => {
          const shown = await dashboard.locator('.mf-meters tbody tr').allInnerTexts();
          assert.equal(shown.length, virtualMeters);
          for (const row of shown) assert.match(row, /DEMO-0\d[\s\S]*\d\.\d{4}/);
          assert.equal(await dashboard.locator('.mf-meters .mf-on').count(), virtualMeters);
          // Three charts have something to draw.
          assert.equal(await dashboard.locator('.nrdb-ui-chart canvas').count(), 3);
          assert.match(
            await dashboard.locator('.mf-cards').innerText(),
            new RegExp(`${virtualMeters}of ${virtualMeters}`),
          );
        },
        { timeoutMs: 30_000, intervalMs: 200 },
      );
      const stored = await house.value('select count(*)::int from meter_readings');
      assert.ok(Number(stored) >= virtualMeters * 90, `${String(stored)} readings of the last 24 hours`);
    } finally {
      await keepScreenshot(dashboard, 'dashboard');
      await dashboard.close();
    }
  });

  it('sees the own reading at once, and the second among the refused as TOO_CLOSE', async () => {
    const dashboard = await page(1440, 900);
    await dashboard.goto(`${house.appliance.url}/dashboard`);
    await dashboard.locator('.mf-latest').waitFor();
    try {
      const own = await house.connect(await house.register('METER001'));
      const send = (kwh: number, time: number) =>
        own.publishAsync(
          'meters/METER001/readings',
          JSON.stringify({ kwh_amount: kwh, reading_timestamp: new Date(time).toISOString() }),
          { qos: 1 },
        );
      await send(1.25, Date.now() - 60_000);
      await eventually(
        async () =>
          assert.match(
            await dashboard.locator('.mf-latest tbody tr').first().innerText(),
            /METER001[\s\S]*1\.2500/,
          ),
        { timeoutMs: 3000 },
      );
      await send(1.5, Date.now());
      await eventually(
        async () =>
          assert.match(
            await dashboard.locator('.mf-refused tbody tr').first().innerText(),
            /METER001[\s\S]*TOO_CLOSE/,
          ),
        { timeoutMs: 3000 },
      );
      await eventually(
        async () => assert.match(await dashboard.locator('.mf-meters').innerText(), /METER001[\s\S]*1\.2500/),
        { timeoutMs: 5000 },
      );
    } finally {
      await keepScreenshot(dashboard, 'dashboard-own-meter');
      await dashboard.close();
    }
  });

  it('chooses the own meter and sees its chart', async () => {
    const dashboard = await page(1440, 900);
    await dashboard.goto(`${house.appliance.url}/dashboard`);
    await dashboard.locator('.nrdb-ui-dropdown input').first().click();
    await dashboard.getByRole('option', { name: 'METER001' }).click();
    await eventually(async () => /METER001/.test(await dashboard.locator('.nrdb-ui-dropdown').innerText()));
    await keepScreenshot(dashboard, 'dashboard-chosen-meter');
    await dashboard.close();
  });

  it('has no error in any page', () => assert.deepEqual(problems, []));
});
