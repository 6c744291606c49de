import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { openApiDocument } from '../../src/http/openapi/document.js';
import { startAppliance, type Appliance } from '../support/appliance.js';
import { keepScreenshot, openBrowser, openPage, type Browser } from '../support/browser.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { operationsOf } from '../support/openapi.js';

const run = promisify(execFile);
const client = resolve(__dirname, '../../docs/client');
const operations = operationsOf(openApiDocument('0.0.0'));

describe('the API documents in a browser [H-18]', function () {
  this.timeout(150_000);
  let database: TestDatabase;
  let appliance: Appliance;
  let browser: Browser;

  before(async () => {
    database = await createTestDatabase();
    appliance = await startAppliance({ env: { DATABASE_URL: database.url, VIRTUAL_METERS: '0' } });
    browser = await openBrowser();
  });
  after(async () => {
    await browser?.close();
    await appliance?.stop();
    await database?.drop();
  });

  it('show every operation, try one, ask nobody else and break no policy', async () => {
    const page = await openPage(browser, 1200, 1000);
    const complaints: string[] = [];
    const asked: string[] = [];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => {
      // Pictures that the style sheet carries in itself ask nobody.
      if (!request.url().startsWith('data:')) asked.push(request.url());
    });

    await page.goto(`${appliance.url}/docs`);
    await page
      .locator('.opblock')
      .nth(operations.length - 1)
      .waitFor();
    assert.equal(await page.locator('.opblock').count(), operations.length);
    await keepScreenshot(page, 'docs');

    const list = page.locator('#operations-Devices-listDevices');
    await list.locator('.opblock-summary-control').click();
    await list.locator('.try-out__btn').click();
    await list.locator('.execute').click();
    await eventually(async () =>
      (await list.locator('.live-responses-table').innerText()).includes('"total": 0'),
    );
    await keepScreenshot(page, 'docs-tried');

    // A key and a token, as the dialog takes them: what is sent is judged, also in the demo.
    const made = await fetch(`${appliance.url}/api/admin/api-keys`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'a browser', scopes: ['devices:read'] }),
    });
    const { key } = (await made.json()) as { key: string };
    const sent: Record<string, string>[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/devices')) sent.push(request.headers());
    });
    const logIn = async (scheme: 'apiKey' | 'bearer', secret: string): Promise<void> => {
      await page.locator('.btn.authorize').first().click();
      const form = page.locator('.dialog-ux .auth-container').filter({ hasText: new RegExp(`^${scheme}`) });
      await form.locator('input').fill(secret);
      await keepScreenshot(page, `docs-${scheme}`);
      await form.locator('.authorize').click();
      await page.locator('.dialog-ux .close-modal').click();
      await list.locator('.execute').click();
    };
    await logIn('apiKey', key);
    await eventually(() => sent.at(-1)?.['x-api-key'] === key);
    await eventually(async () =>
      (await list.locator('.live-responses-table').innerText()).startsWith('Code\tDetails\n200'),
    );
    const before = complaints.length;
    await logIn('bearer', 'no.token.atall');
    await eventually(() => sent.at(-1)?.['authorization'] === 'Bearer no.token.atall');
    await eventually(async () =>
      (await list.locator('.live-responses-table').innerText()).includes('"UNAUTHORIZED"'),
    );
    // The browser itself says that a request was refused.
    assert.match(complaints.splice(before).join(), /401/);
    // A schema, unfolded.
    await page.locator('.models-control').click();
    await page.locator('.models .model-container, .models [class*="json-schema-2020-12"]').first().waitFor();

    assert.deepEqual(complaints, []);
    assert.deepEqual(
      asked.filter((url) => !url.startsWith(`${appliance.url}/`)),
      [],
    );
  });

  it('make a typed client, whose example works', async () => {
    const { stdout } = await run(process.execPath, [join(client, 'example.ts')], {
      env: { ...process.env, BASE_URL: appliance.url },
      timeout: 60_000,
    });
    const told = stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll(/[\da-f-]{36}/g, 'ID').replaceAll(/\d{4}-\S+Z/g, 'TIME'));
    assert.deepEqual(told, [
      'registered ID',
      'submitted 1.25 kWh: stored',
      'submitted 1.25 kWh: duplicate',
      'heard 1.25 kWh of TIME',
      'refused 422 KWH_OUT_OF_RANGE',
      'hour TIME 1 reading 1.25 kWh',
      'removed ID',
    ]);
  });

  it('come under a policy that allows no inline script', async () => {
    for (const file of ['index.html', 'initializer.js', 'swagger-ui-bundle.js', 'swagger-ui.css']) {
      const { status, headers } = await fetch(`${appliance.url}/docs/${file}`);
      assert.equal(status, 200, file);
      const policy = headers.get('content-security-policy') ?? '';
      assert.match(policy, /^default-src 'none';/, file);
      assert.doesNotMatch(policy, /unsafe|\*|http/, file);
      assert.equal(headers.get('x-content-type-options'), 'nosniff', file);
    }
  });

  it('are these files and no others of the package', async () => {
    for (const path of [
      '/docs/package.json',
      '/docs/../package.json',
      '/docs/%2e%2e/package.json',
      '/docs/index.js',
    ])
      assert.equal((await fetch(appliance.url + path)).status, 404, path);
  });
});
