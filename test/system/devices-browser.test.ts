import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { startHouse, type House } from '../flows/house.js';
import { keepScreenshot, openBrowser, openPage, type Browser, type Page } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { readQrCode } from '../support/qr-reader.js';

const run = promisify(execFile);
const patience = { timeoutMs: 20_000, intervalMs: 100 };
const drn = '09000030529';

/** The shipped flows end to end: the page, the registry, MQTT by the lines that the page shows, and the page again. */
describe('an operator with the page Devices', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse();
    await house.register('OLD-1', { name: 'Old one', location: 'Yard', type: 'sensor' });
    await house.rows(
      `insert into devices (id, meter_id, type, name, mock, mqtt_user, password_hash)
       values ('mock-real-7', 'mock-real-7', 'sensor', 'Its mock', true, 'mock-real-7', '\\x00')`,
    );
    browser = await openBrowser();
    page = await open(1440, 1000);
    await page.locator('.mfdl tbody tr').first().waitFor({ timeout: 30_000 });
  });
  after(async () => {
    await browser?.close();
    await house?.close();
  });

  async function open(width: number, height: number): Promise<Page> {
    const opened = await openPage(browser, width, height);
    opened.setDefaultTimeout(patience.timeoutMs);
    opened.on('pageerror', (error) => problems.push(error.message));
    // What would be printed, in whatever frame.
    await opened.addInitScript(`window.print = () => { top.printed = document.documentElement.outerHTML; };`);
    await opened.goto(`${house.appliance.url}/dashboard/devices`);
    return opened;
  }

  const row = (meter: string) => page.locator(`.mfdl tr[data-meter="${meter}"]`);
  const rows = () => page.locator('.mfdl tbody tr');
  const dialog = () => page.getByRole('dialog');
  const field = (name: string) => page.locator(`[data-field="${name}"]`);
  const said = (name: string) => page.locator(`[data-said="${name}"]`).innerText();
  const fact = (name: string) => page.locator(`[data-fact="${name}"]`).innerText();
  const line = (name: string) => page.locator(`[data-line="${name}"]`).innerText();
  const card = (state: string) => page.locator(`.mfdn-card[data-state="${state}"] b`).innerText();
  const soon = (check: () => Promise<void>) => eventually(check, patience);
  const reads = (where: string, pattern: RegExp) =>
    soon(async () => assert.match(await page.locator(where).first().innerText(), pattern));
  const shell = (text: string) => run('sh', ['-c', text], { timeout: 20_000 });
  // A change in the registry reaches the broker within a second.
  const works = (text: string) => soon(async () => void (await shell(text)));
  const fails = (text: string) => soon(() => assert.rejects(shell(text), /not authori[sz]ed|refused/i));

  it('sees what is registered, without mocks, and how it is', async () => {
    await soon(async () => assert.deepEqual(await Promise.all([card(''), card('unseen')]), ['1', '1']));
    assert.equal(await rows().count(), 1);
    assert.match(await row('OLD-1').innerText(), /Old one[\s\S]*OLD-1[\s\S]*sensor[\s\S]*Yard[\s\S]*never/);
    await reads('.mfdn-card', /and 1 mock/);
    await reads('.mfdo', /Old one[\s\S]*never connected[\s\S]*its readings need no signature/);
    assert.doesNotMatch(await page.locator('.mfdo').innerText(), /Its mock/);
    await page.locator('.mfdl-mock').selectOption('');
    await soon(async () => assert.match(await row('mock-real-7').innerText(), /Its mock[\s\S]*mock/));
    await page.locator('.mfdl-mock').selectOption('false');
    await soon(async () => assert.equal(await rows().count(), 1));
  });

  it('is told at the field what is wrong with a new device', async () => {
    await page.locator('.mfdl-add').click();
    await field('name').fill('Kiosk <b onclick=alert(1)>');
    await field('location').fill('Market');
    await field('meter_id').fill('OLD-1');
    await field('drn').fill('09000030528');
    await field('base_power').fill('much');
    await page.locator('.mfdf-save').click();
    await soon(async () => assert.match(await said('base_power'), /must be number or null/));
    await field('base_power').fill('2,5');
    await page.locator('.mfdf-save').click();
    await soon(async () => assert.match(await said('drn'), /wrong check digit: 9 would be right/));
    assert.equal(await said('base_power'), 'what its mock uses about');
    await field('drn').fill(drn);
    await page.locator('.mfdf-save').click();
    await soon(async () => assert.equal(await said('meter_id'), 'names another device or a service account'));
    await keepScreenshot(page, 'devices-form');
    await field('meter_id').fill('KIOSK1');
    await page.locator('.mfdf-save').click();
    await page.locator('.mfdc-code svg').waitFor();
  });

  let firstPassword: string;
  let publishLine: string;

  it('gets the credentials this once, to copy, to scan and to print', async () => {
    const code = JSON.parse(await readQrCode(await keepScreenshot(page, 'devices-card'))) as Record<
      string,
      unknown
    >;
    firstPassword = await fact('password');
    const url = `mqtt://127.0.0.1:${house.appliance.mqttPort}`;
    assert.deepEqual([code['url'], code['user'], code['password']], [url, 'KIOSK1', firstPassword]);
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.locator('[data-copy="telemetry"]').click();
    await reads('[data-copy="telemetry"]', /copied/);
    publishLine = await page.evaluate<string>('navigator.clipboard.readText()');
    assert.equal(publishLine, await line('telemetry'));
    await page.locator('.mfdc-print').click();
    await soon(async () => assert.ok(await page.evaluate('top.printed')));
    const printed = await page.evaluate<string>('top.printed');
    const paper = await openPage(browser, 800, 600);
    await paper.setContent(printed);
    await paper.emulateMedia({ media: 'print' });
    const sheet = await keepScreenshot(paper, 'devices-printed');
    assert.deepEqual(JSON.parse(await readQrCode(sheet)), code);
    assert.match(
      await paper.locator('main').innerText(),
      /Kiosk <b onclick=alert\(1\)>[\s\S]*Market[\s\S]*KIOSK1/,
    );
    await paper.close();
  });

  it('pastes the line that is shown, and the device was there a moment later', async () => {
    const reading = await line('reading');
    await page.locator('.mfdc-done').click();
    await soon(async () => assert.equal(await dialog().count(), 0));
    await shell(publishLine);
    await soon(async () => assert.match(await row('KIOSK1').innerText(), /just now/));
    const payload = await house.value(
      `select convert_from(payload, 'utf8') from device_messages where meter_id = 'KIOSK1'`,
    );
    assert.match(String(payload), /"power_kw":0/);
    await shell(reading);
    assert.equal(
      await house.value(`select kwh_amount::text from meter_readings where meter_id = 'KIOSK1'`),
      '0.0100',
    );
  });

  it('shows a password to nobody else, and not again', async () => {
    const heard: string[] = [];
    const other = await openPage(browser, 1000, 700);
    other.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => heard.push(String(payload))),
    );
    await other.goto(`${house.appliance.url}/dashboard/devices`);
    await other.locator('.mfdl tbody tr').first().waitFor();
    await other.reload();
    await other.locator('.mfdl tr[data-meter="KIOSK1"]').waitFor();
    assert.ok(heard.some((frame) => frame.includes('KIOSK1')));
    assert.ok(!heard.some((frame) => frame.includes(firstPassword)));
    assert.ok(!house.appliance.output().includes(firstPassword));
    await other.close();
  });

  it('sees it live while it is connected, by itself, and offline afterwards', async () => {
    const login = publishLine.slice('mosquitto_pub '.length, publishLine.indexOf(' -q 1'));
    const id = String(await house.value(`select id from devices where meter_id = 'KIOSK1'`));
    const listening = spawn('sh', ['-c', `exec mosquitto_sub ${login} -v -t 'devices/${id}/command/#'`]);
    try {
      await soon(async () => assert.match(await row('KIOSK1').innerText(), /live/));
      assert.equal(await card('online'), '1');
      await row('KIOSK1').locator('a').click();
      await reads('.mfdo', /Kiosk <b onclick=alert\(1\)>[\s\S]*live[\s\S]*Market[\s\S]*Live since/);
      await keepScreenshot(page, 'devices');
      await page.locator('.mfdn-card[data-state="online"]').click();
      await soon(async () => assert.equal(await rows().count(), 1));
    } finally {
      listening.kill();
    }
    await soon(async () =>
      assert.match(await page.locator('.mfdl .mfd-empty').innerText(), /No such device/),
    );
    await page.locator('.mfdl .mfd-empty button').click();
    await soon(async () => assert.match(await row('KIOSK1').innerText(), /just now/));
  });

  it('finds by words and by type', async () => {
    await page.locator('.mfdl-search').fill('mark');
    await soon(async () => assert.deepEqual([await rows().count(), await row('KIOSK1').count()], [1, 1]));
    await page.locator('.mfdl-search').fill('0003052');
    await soon(async () => assert.deepEqual([await rows().count(), await row('KIOSK1').count()], [1, 1]));
    await page.locator('.mfdl-search').fill('');
    await page.locator('.mfdl-type').selectOption('sensor');
    await soon(async () => assert.deepEqual([await rows().count(), await row('OLD-1').count()], [1, 1]));
    await page.locator('.mfdl-type').selectOption('');
    await soon(async () => assert.equal(await rows().count(), 2));
  });

  it('renames it', async () => {
    await row('KIOSK1').locator('a').click();
    await reads('.mfdo h2', /^Kiosk/);
    await page.locator('.mfdo-edit').click();
    await field('name').fill('Corner shop');
    await field('location').fill('');
    await page.locator('.mfdf-save').click();
    await soon(async () => assert.match(await row('KIOSK1').innerText(), /Corner shop/));
    await reads('.mfdo h2', /Corner shop/);
    const [device] = await house.rows(
      `select name, location, drn, base_power::float8 from devices where meter_id = 'KIOSK1'`,
    );
    assert.deepEqual(device, { name: 'Corner shop', location: null, drn, base_power: 2.5 });
  });

  it('gives it a key, and then both anew: signed lines, and the old ones refused after their grace', async () => {
    await page.locator('.mfdo-rotate').click();
    await page.locator('.mfdo-yes').click();
    await soon(async () => assert.match(await fact('secret'), /^[0-9a-f]{64}$/));
    assert.equal(await page.locator('.mfdc-code').count(), 0, 'no card without a password');
    await page.locator('.mfdc-done').click();
    await reads('.mfdo-key', /signs[\s\S]*hmac-sha256/);
    await shell(publishLine);
    await page.locator('.mfdo-rotate').click();
    await page.locator('.mfdo-grace').selectOption('0');
    await page.locator('.mfdo-yes').click();
    await page.locator('.mfdc-code svg').waitFor();
    await keepScreenshot(page, 'devices-rotated');
    const [signed, telemetry] = [await line('reading'), await line('telemetry')];
    assert.match(signed, /device_signature/);
    await page.locator('.mfdc-done').click();
    await fails(publishLine);
    await works(telemetry);
    // Within the quarter of an hour of the first one: refused by that rule, not for its signature.
    await shell(signed);
    const codes = await house.rows(`select code from quarantined_messages where meter_id = 'KIOSK1'`);
    assert.deepEqual(codes, [{ code: 'TOO_CLOSE' }]);
    publishLine = telemetry;
    await soon(async () => assert.equal(await page.locator('.mfdo-key').count(), 2));
    await reads('.mfdo-keys', /signs[\s\S]*revoked/);
  });

  it('rotates the password with a grace: the old line works on, as long as it was told', async () => {
    await page.locator('.mfdo-password').click();
    await page.locator('.mfdo-grace').selectOption('3600');
    await page.locator('.mfdo-yes').click();
    await page.locator('.mfdc-code svg').waitFor();
    await reads('.mfdc-dialog', /The old one stays valid until/);
    await page.locator('.mfdc-done').click();
    await shell(publishLine);
  });

  it('revokes it, and admits it again with new credentials', async () => {
    await page.locator('.mfdo-revoke').click();
    await keepScreenshot(page, 'devices-revoke');
    await page.locator('.mfdo-yes').click();
    await soon(async () => assert.match(await row('KIOSK1').innerText(), /revoked/));
    await fails(publishLine);
    assert.equal(await card('revoked'), '1');
    await page.locator('.mfdo-admit').click();
    await page.locator('.mfdo-yes').click();
    await page.locator('.mfdc-code svg').waitFor();
    publishLine = await line('telemetry');
    await page.locator('.mfdc-done').click();
    await works(publishLine);
    await soon(async () => assert.doesNotMatch(await row('KIOSK1').innerText(), /revoked/));
  });

  it('deletes it after a confirmation, and its readings stay', async () => {
    await page.locator('.mfdo-delete').click();
    await dialog().getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await row('KIOSK1').count(), 1);
    await page.locator('.mfdo-delete').click();
    await page.locator('.mfdo-yes').click();
    await soon(async () => assert.equal(await row('KIOSK1').count(), 0));
    await reads('.mfdo', /Corner shop is deleted/);
    await fails(publishLine);
    assert.equal(await house.value(`select count(*)::int from meter_readings where meter_id = 'KIOSK1'`), 1);
    const { actor, address } =
      (await house.rows(`select actor, address from audit_log where action = 'device.deleted'`))[0] ?? {};
    assert.equal(actor, 'demo');
    assert.match(String(address), /127\.0\.0\.1|::1/);
  });

  it('has it on a phone, too: list, one device, form and card', async () => {
    const phone = await open(390, 844);
    const shown = (name: string) => keepScreenshot(phone, `devices-phone-${name}`);
    await phone.locator('.mfdl tbody tr').first().waitFor();
    await shown('list');
    await phone.locator('.mfdl-add').click();
    await phone.locator('[data-field="name"]').fill('From a phone');
    await shown('form');
    await phone.locator('.mfdf-save').click();
    await phone.locator('.mfdc-code svg').waitFor();
    const code = JSON.parse(await readQrCode(await shown('card'))) as { device_id: string };
    assert.ok(await house.value('select id from devices where id = $1', code.device_id));
    await phone.locator('.mfdc-done').click();
    await phone.locator('.mfdl tr[data-meter="OLD-1"] a').click();
    await soon(async () => assert.match(await phone.locator('.mfdo h2').innerText(), /Old one/));
    await soon(async () => {
      const { y = 0 } = (await phone.locator('.mfdo-edit').boundingBox()) ?? {};
      assert.ok(y > 0 && y < 844, `scrolled to it: ${y}`);
    });
    await shown('one');
    const wide = await phone.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
    assert.ok(wide <= 0, `${wide} pixels too wide`);
    await phone.close();
  });

  it('comes there from the dashboard, and has no error in the page', async () => {
    await page.goto(`${house.appliance.url}/dashboard`);
    await page.locator('.v-navigation-drawer a[href$="/devices"]').click();
    await page.locator('.mfdl').waitFor();
    assert.deepEqual(problems, []);
  });
});
