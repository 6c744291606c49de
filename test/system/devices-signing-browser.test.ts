import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startHouse, type House } from '../flows/house.js';
import { keepScreenshot, openBrowser, openPage, type Browser, type Page } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { startFaultProxy, through, type FaultProxy } from '../support/fault-proxy.js';

const run = promisify(execFile);
const patience = { timeoutMs: 30_000, intervalMs: 100 };

/** Where every reading must be signed, keys are rationed for strangers, the mock world runs, and the database goes away. */
describe('an operator with the page Devices, where devices must sign', function () {
  this.timeout(180_000);
  let proxy: FaultProxy;
  let house: House;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  before(async () => {
    const env = { DEVICE_AUTH_METHOD: 'hmac', REGISTRATIONS_PER_MINUTE: '1', MOCK_SYNC: 'on' };
    house = await startHouse(env, async (url) => {
      const { hostname, port } = new URL(url);
      proxy = await startFaultProxy({ host: hostname, port: Number(port) });
      return through(proxy, url);
    });
    browser = await openBrowser();
    page = await openPage(browser, 1440, 1000);
    page.setDefaultTimeout(patience.timeoutMs);
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${house.appliance.url}/dashboard/devices`);
    await page.locator('.mfdl-add').waitFor();
  });
  after(async () => {
    await browser?.close();
    await house?.close();
    await proxy?.close();
  });

  const row = (meter: string) => page.locator(`.mfdl tr[data-meter="${meter}"]`);
  const soon = (check: () => Promise<void>) => eventually(check, patience);
  const reads = (where: string, pattern: RegExp) =>
    soon(async () => assert.match(await page.locator(where).first().innerText(), pattern));
  const line = (name: string) => page.locator(`[data-line="${name}"]`);

  async function add(meterId: string): Promise<void> {
    await page.locator('.mfdl-add').click();
    await page.locator('[data-field="meter_id"]').fill(meterId);
    await page.locator('.mfdf-save').click();
  }

  it('begins with nothing, and says what to do', async () => {
    await reads('.mfdl .mfd-empty', /No device yet/);
    await keepScreenshot(page, 'devices-none');
  });

  it('gets a key with the device, and a line with a signature that counts', async () => {
    await add('SIGNS1');
    await line('reading').waitFor();
    const text = await line('reading').innerText();
    assert.match(text, /device_signature/);
    await page.locator('.mfdc-done').click();
    await run('sh', ['-c', text], { timeout: 20_000 });
    assert.equal(await house.value(`select count(*)::int from meter_readings where meter_id = 'SIGNS1'`), 1);
    await reads('.mfdo-key', /signs[\s\S]*hmac-sha256/);
  });

  it('sees its mock beside it, by itself, and gone with it', async () => {
    await reads('.mfdo', /Its mock[\s\S]*live, mock-real-/);
    await page.locator('.mfdl-mock').selectOption('true');
    await soon(async () => assert.equal(await page.locator('.mfdl tbody tr').count(), 1));
    await reads('.mfdl tbody tr', /^mock-real-[\s\S]*mock[\s\S]*live/);
    await page.locator('.mfdl tbody tr a').first().click();
    await reads('.mfdo', /it follows its device/);
    assert.equal(await page.locator('.mfdo-delete, .mfdo-edit, .mfdo-password').count(), 0);
    await keepScreenshot(page, 'devices-mocks');
    const answer = await house.request('DELETE', '/devices/SIGNS1');
    assert.equal(answer.status, 200);
    await reads('.mfdl .mfd-empty', /No such device/);
    await page.locator('.mfdl .mfd-empty button').click();
    await reads('.mfdl .mfd-empty', /No device yet/);
  });

  it('is told that the device is there and its key is not, when the key is refused', async () => {
    await house.rows(`alter table device_keys add constraint no_key check (meter_id <> 'SIGNS2') not valid`);
    await add('SIGNS2');
    await reads('.mfdc-dialog', /The device is there, its key is not[\s\S]*Password/);
    await line('telemetry').waitFor();
    assert.equal(await line('reading').count(), 0, 'no line that would be refused');
    await keepScreenshot(page, 'devices-no-key');
    await page.locator('.mfdc-done').click();
    await reads('.mfdo', /its readings are refused until it gets one/);
    await house.rows('alter table device_keys drop constraint no_key');
  });

  it('is told that the database is away, loses nothing that was typed, and goes on when it is back', async () => {
    await page.locator('.mfdl-add').click();
    await page.locator('[data-field="meter_id"]').fill('SIGNS3');
    proxy.cut();
    try {
      await page.locator('.mfdf-save').click();
      await reads('.mfdf-form [role="alert"]', /^The database is away: .+\./);
      await reads('.mfdl .mfd-bad', /The database is away[\s\S]*known before/);
      assert.equal(await row('SIGNS2').count(), 1);
      await keepScreenshot(page, 'devices-away');
    } finally {
      proxy.pass();
    }
    assert.equal(await page.locator('[data-field="meter_id"]').inputValue(), 'SIGNS3');
    await soon(async () => {
      if (await page.locator('.mfdf-save').isEnabled()) await page.locator('.mfdf-save').click();
      await page.locator('.mfdc-done').waitFor({ timeout: 3000 });
    });
    await page.locator('.mfdc-done').click();
    await soon(async () => assert.equal(await row('SIGNS3').count(), 1));
    await soon(async () => assert.equal(await page.locator('.mfdl .mfd-bad').count(), 0));
  });

  it('has no error in the page', () => assert.deepEqual(problems, []));
});
