import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  flowText,
  readFlowFiles,
  sharedName,
  splitFlows,
  type FlowFile,
  type FlowNode,
} from '../../src/operation/flow-files.js';
import { eventually } from '../support/eventually.js';
import {
  keepScreenshot,
  nodesOnTab,
  openBrowser,
  openPage,
  openTab,
  showTab,
  type Browser,
  type Page,
} from '../support/browser.js';
import { startHouse, type House } from '../flows/house.js';

const virtualMeters = 6;
const flows = resolve(__dirname, '../../flows');
const tabs = readFlowFiles(flows).flatMap((file) =>
  file.nodes.flatMap((node) => (node.type === 'tab' ? [node.label ?? ''] : [])),
);

describe('a newcomer with a browser', function () {
  this.timeout(180_000);
  let house: House;
  let browser: Browser;
  /** One editor for all tabs, as a person has it: loading it takes seconds, another tab a moment. */
  let tour: Page;
  const problems: string[] = [];

  before(async () => {
    house = await startHouse({ VIRTUAL_METERS: String(virtualMeters) });
    browser = await openBrowser();
    tour = await page(1440, 900);
    await openTab(tour, house.appliance.url, tabs[0] ?? '');
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

  for (const tab of tabs) {
    it(`finds the tab ${tab} with every node in order`, async () => {
      await showTab(tour, tab);
      try {
        await eventually(async () => {
          const nodes = await nodesOnTab(tour);
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
        await keepScreenshot(tour, `editor-${tab.toLowerCase().replaceAll(' ', '-')}`);
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

  it('sees what the virtual meters have to be minted, by the wallet of the demo [H-16]', async () => {
    const minting = await page(1440, 900);
    await minting.goto(`${house.appliance.url}/dashboard/minting`);
    try {
      const wallet = minting.locator('[data-wallet^="DemoWa11et"]');
      await eventually(
        async () => assert.match(await wallet.innerText(), new RegExp(`\\s${virtualMeters}\\s+\\d{2,}\\s`)),
        { timeoutMs: 30_000, intervalMs: 200 },
      );
    } finally {
      await keepScreenshot(minting, 'dashboard-minting');
      await minting.close();
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
    // The menu has folded away and the bar of the one reading stands: for the picture only.
    await eventually(async () => (await dashboard.locator('.v-overlay--active').count()) === 0);
    await keepScreenshot(dashboard, 'dashboard-chosen-meter');
    await dashboard.close();
  });

  it('looks after accounts and keys on the page Accounts; a key is shown once, to who made it', async () => {
    const admin = await page(1440, 1000);
    const other = await page(1440, 1000);
    for (const each of [admin, other]) {
      await each.goto(`${house.appliance.url}/dashboard/accounts`);
      await each.locator('[data-email="demo"]').waitFor({ timeout: 30_000 });
    }
    const notice = (): Promise<string> => admin.locator('.mfap .mfa-notice').innerText();
    const row = admin.locator('[data-email="olga@example.org"]');
    try {
      await admin.locator('.mfap-add').click();
      await admin.locator('.mfap-form [data-field="email"]').fill('Olga@Example.org');
      await admin.locator('.mfap-form [data-field="password"]').fill('password1234');
      await admin.locator('.mfap-save').click();
      await eventually(async () => assert.match(await notice(), /easily guessed/));
      await admin.locator('.mfap-make').click();
      const password = await admin.locator('.mfap-form [data-field="password"]').inputValue();
      await admin.locator('.mfap-save').click();
      await row.waitFor();
      const logIn = async (): Promise<number> => {
        const body = JSON.stringify({ email: 'olga@example.org', password });
        const headers = { 'content-type': 'application/json' };
        return (await fetch(`${house.appliance.url}/api/auth/token`, { method: 'POST', headers, body }))
          .status;
      };
      assert.equal(await logIn(), 200);
      await row.locator('.mfap-role').selectOption('prosumer');
      await eventually(async () => assert.match(await notice(), /is prosumer now/));
      await row.locator('.mfap-disable').click();
      await row.locator('.mfap-disable').click();
      await row.locator('.mfap-enable').waitFor();
      assert.equal(await logIn(), 401);
      await row.locator('.mfap-enable').click();
      await row.locator('.mfap-disable').waitFor();

      await admin.locator('.mfak-add').click();
      await admin.locator('.mfak-form [data-field="name"]').fill('grafana');
      await admin
        .locator('.mfak-form [data-field="user_id"]')
        .selectOption({ label: 'olga@example.org (prosumer)' });
      await admin.locator('[data-scope="live"]').check();
      await admin.locator('[data-scope="readings:read"]').check();
      await keepScreenshot(admin, 'dashboard-accounts-form');
      await admin.locator('.mfak-save').click();
      const key = await admin.locator('.mfak-made .mfa-secret').innerText();
      assert.match(key, /^mfk_[\w-]{43}$/);
      await keepScreenshot(admin, 'dashboard-accounts');
      const asks = async (): Promise<number> =>
        (await fetch(`${house.appliance.url}/api/meter_data`, { headers: { 'x-api-key': key } })).status;
      assert.equal(await asks(), 200);
      // Neither a page that was open, nor one that opens, nor this one again.
      await other.reload();
      await admin.reload();
      for (const each of [admin, other]) {
        await each.locator('[data-key="grafana"]').waitFor();
        assert.ok(!(await each.content()).includes(key.slice(8)));
      }
      await admin.locator('[data-key="grafana"] .mfak-revoke').click();
      await admin.locator('[data-key="grafana"] .mfak-revoke').click();
      await admin.locator('[data-key="grafana"]').waitFor({ state: 'detached' });
      await eventually(async () => assert.equal(await asks(), 401), { timeoutMs: 3_000 });
    } finally {
      await keepScreenshot(admin, 'dashboard-accounts-after');
      await Promise.all([admin.close(), other.close()]);
    }
  });

  it('renames a node in the editor, and only that edit comes back into flows/', async () => {
    const editor = await page(1440, 900);
    await openTab(editor, house.appliance.url, 'Ingestion');
    await editor
      .locator('g.red-ui-flow-node-group', { hasText: 'Who is online' })
      .locator('rect.red-ui-flow-node')
      .dblclick();
    await editor.locator('#node-input-name').fill('Who is there');
    await editor.locator('#node-dialog-ok').click();
    await editor.locator('#red-ui-header-button-deploy').click();
    await editor.getByText('Successfully deployed').waitFor();
    await editor.close();
    const saved = readFileSync(join(house.appliance.dataDir, 'node-red/flows.json'), 'utf8');
    const shipped = readFlowFiles(flows);
    const files = splitFlows(JSON.parse(saved) as FlowNode[], shipped);
    const changed = files.filter(
      (file, index) => flowText(file.nodes) !== flowText(shipped[index]?.nodes ?? []),
    );
    assert.deepEqual(
      changed.map((file) => file.name),
      ['ingestion'],
    );
    const before = namesOf(shipped.find((file) => file.name === 'ingestion'));
    assert.deepEqual(
      namesOf(changed[0]),
      before.map((name) => (name === 'Who is online' ? 'Who is there' : name)),
    );
  });

  it('goes on after a deploy: the own meter connects and is served', async () => {
    const own = await house.connect(await house.register('METER002'));
    const reading = { kwh_amount: 1, reading_timestamp: new Date().toISOString() };
    await own.publishAsync('meters/METER002/readings', JSON.stringify(reading), { qos: 1 });
    const found = await house.value("select count(*)::int from meter_readings where meter_id = 'METER002'");
    assert.equal(found, 1);
  });

  it('is offered every tab by itself in the Import dialog', async () => {
    const answer = await fetch(
      `${house.appliance.url}/library/examples/flows/@meterflow/node-red-smart-meter`,
    );
    const offered = JSON.stringify(await answer.json());
    for (const { name } of readFlowFiles(flows)) {
      if (name !== sharedName) assert.match(offered, new RegExp(`"${name}"`));
    }
  });

  it('has no error in any page', () => assert.deepEqual(problems, []));
});

function namesOf(file: FlowFile | undefined): (string | undefined)[] {
  return file?.nodes.map((node) => node.name) ?? [];
}
