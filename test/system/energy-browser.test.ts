import assert from 'node:assert/strict';
import { startHouse, type House } from '../flows/house.js';
import {
  bunchAnswers,
  keepScreenshot,
  openBrowser,
  openPage,
  type Browser,
  type Page,
} from '../support/browser.js';
import { eventually } from '../support/eventually.js';

const patience = { timeoutMs: 30_000, intervalMs: 100 };
const zone = 'Asia/Kathmandu';

/** What the page draws, beside what a plain group by says. */
describe('somebody with the page Energy', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse({ BILLING_TIMEZONE: zone });
    await house.register('METER001', { name: 'Kitchen' });
    await house.register('METER002');
    // One at a time: the appliance makes some of them, too.
    for (let age = -1; age <= 45; age += 1)
      await house.rows(
        `select ensure_day_partition('meter_readings', ((now() at time zone 'UTC')::date - $1::int))`,
        age,
      );
    await house.rows(
      `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
       select 'METER001', 0.2 + (q * 37 % 100) * 0.01, date_bin('15 min', now(), '2000-01-01Z') - q * interval '15 min'
         from generate_series(0, 40 * 96) q
        -- Hours without a reading, but none beside midnight: the hours at both ends of a day have some.
        where date_part('hour', (now() - q * interval '15 min') at time zone $1)::int % 11 not in (3, 4)`,
      zone,
    );
    browser = await openBrowser();
    page = await openPage(browser, 1360, 900);
    page.on('pageerror', (error) => problems.push(error.message));
    await page.goto(`${house.appliance.url}/dashboard/energy`);
    await page.locator('.mfe-meter option').first().waitFor({ state: 'attached', timeout: 30_000 });
  });
  after(async () => {
    await browser?.close();
    await house?.close();
  });

  const chart = (name: string) => page.locator(`[data-chart="${name}"]`);
  const title = (name: string) => chart(name).locator('h3').innerText();
  const bars = (name: string): Promise<[string, number][]> =>
    chart(name)
      .locator('[data-bar]')
      .evaluateAll((all) =>
        all.map((bar): [string, number] => [
          bar.getAttribute('data-bar') ?? '',
          Number(bar.getAttribute('data-kwh')),
        ]),
      );

  /** Bars by day of this month, or by hour of this day, that are not empty. */
  async function plain(unit: 'day' | 'hour', of: string): Promise<[string, number][]> {
    const rows = await house.rows(
      `select to_char(at, $2) as label, sum(kwh_amount)::float8 as kwh from (
         select kwh_amount, case when $1 = 'day' then date_trunc('day', reading_timestamp, $3)
                            else date_trunc('hour', reading_timestamp, 'UTC') end at time zone $3 as at,
                reading_timestamp at time zone $3 as local
           from meter_readings where meter_id = 'METER001') r
        where to_char(local, $4) = $5 group by at order by at`,
      unit,
      unit === 'day' ? 'FMDD' : 'HH24:MI',
      zone,
      unit === 'day' ? 'YYYY-MM' : 'YYYY-MM-DD',
      of,
    );
    return rows.map(({ label, kwh }) => [String(label), Number(kwh)]);
  }

  async function assertDrawn(): Promise<void> {
    await eventually(async () => {
      const month = await title('month');
      const drawn = (await bars('month')).filter(([, kwh]) => kwh > 0);
      assert.deepEqual(drawn, await plain('day', month));
    }, patience);
  }

  it('sees this month of the meter that read last, day by day in the billing time zone', async () => {
    assert.match(await page.locator('.mfe-meter').inputValue(), /METER001/);
    assert.match(await page.locator('.mfe').innerText(), new RegExp(zone));
    await assertDrawn();
    await keepScreenshot(page, 'energy');
  });

  it('goes back a month, and sees all of its days', async () => {
    const before = await title('month');
    await page.getByLabel('Earlier month').click();
    await eventually(async () => assert.notEqual(await title('month'), before), patience);
    await assertDrawn();
  });

  it('chooses a day and sees its hours, those of the half hour at both ends too', async () => {
    const days = (await bars('month')).filter(([, kwh]) => kwh > 0);
    const day = days.at(-2)?.[0] ?? assert.fail('a day');
    await chart('month').locator(`[data-bar="${day}"]`).click();
    const date = `${await title('month')}-${day.padStart(2, '0')}`;
    await eventually(async () => assert.equal(await title('day'), date), patience);
    await eventually(async () => {
      const drawn = (await bars('day')).filter(([, kwh]) => kwh > 0);
      assert.ok(drawn.length > 20);
      assert.equal(drawn[0]?.[0], '23:45');
      // Whole hours: those at both ends lie in two days.
      const inner = (await plain('hour', date)).slice(1, -1);
      assert.deepEqual(drawn.slice(1, -1), inner);
    }, patience);
  });

  it('shows a late reading by itself, also when answers come in bunches', async () => {
    await bunchAnswers(page);
    const month = await title('month');
    const [first] = (await bars('month')).find(([, kwh]) => kwh > 0) ?? assert.fail('a bar');
    await house.rows(
      `insert into meter_readings (meter_id, kwh_amount, reading_timestamp)
       values ('METER001', 50, ($1::timestamp + interval '12 hours 7 minutes') at time zone $2)`,
      `${month}-${first.padStart(2, '0')}`,
      zone,
    );
    await assertDrawn();
    assert.ok(((await bars('month')).find(([label]) => label === first)?.[1] ?? 0) > 50);
  });

  it('sees another meter without a reading as empty, and nothing failed in the page', async () => {
    await page.locator('.mfe-meter').selectOption('METER002');
    await eventually(async () => {
      assert.deepEqual(
        (await bars('month')).filter(([, kwh]) => kwh > 0),
        [],
      );
      assert.match(await chart('month').innerText(), /0 readings/);
    }, patience);
    assert.deepEqual(problems, []);
  });
});
