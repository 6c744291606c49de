import assert from 'node:assert/strict';
import { startHouse, type House } from '../flows/house.js';
import { keepScreenshot, openBrowser, openPage, type Browser, type Page } from '../support/browser.js';
import { eventually } from '../support/eventually.js';

const patience = { timeoutMs: 30_000, intervalMs: 100 };
const drn = '09000030529';
const token = '54158492421732529281';

/** The shipped flows end to end: the page, the API, the played system, MQTT, a virtual meter, the ledger, the page. */
describe('an operator with the page Tokens', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse({ VIRTUAL_METERS: '2', TOKEN_RESPONSE_TIMEOUT_MS: '3000' });
    browser = await openBrowser();
    page = await openPage(browser, 1440, 1000);
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${house.appliance.url}/dashboard/tokens`);
    // The page hears answers from now on.
    await page.locator('.mftn-card').first().waitFor({ timeout: 30_000 });
    await eventually(
      async () =>
        (await house.value(
          `select count(*)::int from accounts where kind = 'units' and balance > 0 and meter_id like 'DEMO-%'`,
        )) === 2,
      patience,
    );
  });
  after(async () => {
    await browser?.close();
    await house?.close();
  });

  const number = () => page.locator('#mftf-number');
  const field = () => page.locator('#mftf-token');
  const button = () => page.locator('.mftf-inject');
  const result = () => page.locator('.mftf-result');
  const said = (of: 'number' | 'token', text: string | RegExp) =>
    eventually(async () => {
      const found = await page.locator(`#mftf-${of}-said`).innerText();
      if (typeof text === 'string') assert.equal(found, text);
      else assert.match(found, text);
    }, patience);
  const rows = () => page.locator('.mftl tbody tr');
  const told = (text: RegExp) =>
    eventually(async () => assert.match(await result().innerText(), text), patience);

  async function inject(meter: string, digits: string): Promise<void> {
    await number().fill(meter);
    await field().fill(digits);
    await button().click();
  }
  const balance = async (meter: string): Promise<number> =>
    Number(await house.value(`select balance from accounts where kind = 'units' and meter_id = $1`, meter));

  it('hears while typing which digit is missing, which is wrong, and what the check digit should be', async () => {
    await number().fill('09000030528');
    await said('number', 'The number: check digit should be 9, or another digit is wrong.');
    assert.equal(await number().getAttribute('aria-invalid'), 'true');
    await number().fill(drn);
    await said('number', 'Right. The number on its card: 600727090000305292');
    await field().pressSequentially('5415 8492 4217 3252 92', { delay: 5 });
    await said('token', 'The token: the 19th to 20th digits are missing.');
    assert.ok(await button().isDisabled());
    await field().pressSequentially('8');
    await said('token', 'The token: the 20th digit is missing.');
    assert.equal(await page.locator('.mftf-next').count(), 1);
    await field().pressSequentially('O');
    await said('token', /has the letter O instead of 0 in the 20th place/);
    assert.equal(await page.locator('.mftf-wrong').innerText(), 'O');
    await field().fill('98');
    await said('token', /the 1st digit is 7 at most/);
    await field().fill('5415 8492 4217 3252 9281');
    await said('token', /^A credit token\./);
    assert.equal(await page.locator('.mftf-right').count(), 20);
    assert.ok(await button().isEnabled());
  });

  it('injects it, and sees the units that the meter booked, in the ledger, too', async () => {
    const before = await balance('DEMO-01');
    await button().click();
    await told(
      /^Booked\s+Token injected successfully\. Injected units: 2\.00\s+HTTP 200 · injection [0-9a-f-]{36}$/,
    );
    assert.ok((await balance('DEMO-01')) > before + 1.9);
    await eventually(async () => assert.equal(await rows().count(), 1), patience);
    const text = await rows().first().innerText();
    for (const part of ['DEMO-01', drn, '…9281', 'booked', '2.00', 'listening', 'the system', 'the meter'])
      assert.ok(text.includes(part), `${part} in ${text}`);
    assert.ok(!text.includes(token));
    const card = page.locator('.mftn-card[data-card="success"]');
    await eventually(async () => assert.match(await card.innerText(), /^1\s/), patience);
  });

  it('is told why a token is refused: by us, by the system, by the meter', async () => {
    await inject(drn, token);
    await told(/^Not injected[\s\S]*HTTP 409/);
    await inject('NOBODY', '23716100501183194197');
    await told(/There is no meter "NOBODY"[\s\S]*HTTP 404/);
    await page.locator('.mftf-ending').selectOption('0503');
    await number().fill('DEMO-02');
    await page.locator('.mftf-make').click();
    await said('token', /^A credit token\./);
    await button().click();
    await told(/^Not injected[\s\S]*HTTP 502/);
    await page.locator('.mftf-ending').selectOption('0002');
    await page.locator('.mftf-make').click();
    await said('token', /^A credit token\./);
    await button().click();
    await told(/^Refused by the meter[\s\S]*another meter[\s\S]*HTTP 422/);
    await eventually(async () => {
      const tags = await page.locator('.mftl tbody .mft-tag').allInnerTexts();
      assert.deepEqual(tags, ['wrong meter', 'failed', 'booked']);
    }, patience);
  });

  it('sees one that nobody answers, and the same token again as seen before', async () => {
    const digits = '33333333333333330012';
    await inject('DEMO-02', digits);
    await eventually(async () => assert.match(await button().innerText(), /Waiting for the meter/), patience);
    await told(/^No answer yet[\s\S]*HTTP 504/);
    await inject('DEMO-02', digits);
    await told(/^No answer yet/);
    await page.locator('.mftl .mft-switch button', { hasText: 'Seen before' }).click();
    await eventually(async () => {
      assert.equal(await rows().count(), 1);
      assert.match(await rows().first().innerText(), /seen 1 × before[\s\S]*unanswered/);
    }, patience);
    await keepScreenshot(page, 'tokens');
  });

  it('has no errors in the page, and the meter agrees with the ledger afterwards', async () => {
    assert.deepEqual(problems, []);
    const drifts = await house.rows('select meter_id from balance_drifts');
    assert.deepEqual(drifts, []);
  });
});
