// npm run screenshot – docs/images/{ingestion,dashboard,devices,payments,tokens,accounts}.png, from the real thing;
// `npm run screenshot -- tokens` or `-- accounts` only that one, which needs no curves.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import mqtt, { type MqttClient } from 'mqtt';
import { startAppliance, type Appliance } from '../test/support/appliance.js';
import { openBrowser, openPage, openTab, type Browser } from '../test/support/browser.js';

const images = resolve(__dirname, '../docs/images');
/** So long the curves of the dashboard grow before the picture is taken. */
const curveSeconds = Number(process.env['SCREENSHOT_SECONDS'] ?? 190);
const quarterMs = 900_000;

async function main(): Promise<void> {
  mkdirSync(images, { recursive: true });
  // The picture shows the port: the one that a newcomer gets.
  const MQTT_BROKER_PORT = process.env['MQTT_BROKER_PORT'] ?? '1883';
  const appliance = await startAppliance({ env: { VIRTUAL_METERS: '6', MOCK_SYNC: 'on', MQTT_BROKER_PORT } });
  const browser = await openBrowser();
  try {
    if (process.argv.includes('tokens')) return await pictureOfTokens(browser, appliance);
    if (process.argv.includes('accounts')) return await pictureOfAccounts(browser, appliance);
    const meter = await newcomersMeter(appliance);
    const dashboard = await openPage(browser, 1360, 850, 2);
    await dashboard.goto(`${appliance.url}/dashboard`);
    await catchUp(meter);
    await dashboard.screenshot({ path: join(images, 'dashboard.png') });
    await pictureOfDevices(browser, appliance);
    const payments = await openPage(browser, 1360, 850, 2);
    await payments.goto(`${appliance.url}/dashboard/payments`);
    await payments.locator('[data-meter="DEMO-04"] .mfpm-pay').click();
    await delay(3000);
    await payments.screenshot({ path: join(images, 'payments.png') });
    await pictureOfTokens(browser, appliance);
    await pictureOfAccounts(browser, appliance);
    const editor = await openPage(browser, 1460, 780, 2);
    await openTab(editor, appliance.url, 'Ingestion');
    await editor.mouse.move(700, 500);
    await delay(3000);
    await editor.screenshot({
      path: join(images, 'ingestion.png'),
      clip: { x: 0, y: 0, width: 1460, height: 690 },
    });
    await meter.endAsync();
  } finally {
    await browser.close();
    await appliance.stop();
  }
}

/** A registry as after a day in the field, with the card of the one that was added last. */
async function pictureOfDevices(browser: Browser, appliance: Appliance): Promise<void> {
  for (const device of others) await register(appliance, device);
  const devices = await openPage(browser, 1360, 850, 2);
  await devices.goto(`${appliance.url}/dashboard/devices`);
  await devices.locator('.mfdl-add').click();
  for (const [name, text] of Object.entries({ name: 'Shop 7', location: 'Market', meter_id: 'METER007' }))
    await devices.locator(`[data-field="${name}"]`).fill(text);
  await devices.locator('.mfdf-save').click();
  await devices.locator('.mfdc-code svg').waitFor();
  await devices.screenshot({ path: join(images, 'devices.png') });
  await devices.close();
}

/** The people of a small house, and a key that was just made. */
async function pictureOfAccounts(browser: Browser, appliance: Appliance): Promise<void> {
  const people = [
    { email: 'amina@example.org', role: 'admin' },
    { email: 'counter@example.org', role: 'operator' },
    { email: 'joseph@example.org', role: 'prosumer' },
  ];
  for (const person of people) {
    const body = JSON.stringify({ ...person, password: 'correct horse, battery staple' });
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
    await fetch(`${appliance.url}/api/admin/users`, post);
    if (person.role !== 'prosumer') await fetch(`${appliance.url}/api/auth/token`, post);
  }
  const page = await openPage(browser, 1360, 640, 2);
  await page.goto(`${appliance.url}/dashboard/accounts`);
  await page.locator('[data-email="joseph@example.org"]').waitFor();
  for (const [name, scopes] of [
    ['prometheus', ['metrics']],
    ['grafana', ['live', 'readings:read']],
  ] as const) {
    await page.locator('.mfak-add').click();
    await page.locator('.mfak-form [data-field="name"]').fill(name);
    for (const scope of scopes) await page.locator(`[data-scope="${scope}"]`).check();
    await page.locator('.mfak-save').click();
    await page.locator(`[data-key="${name}"]`).waitFor();
  }
  await page.screenshot({ path: join(images, 'accounts.png') });
  await page.close();
}

/** Tokens as of a day at the counter, and one that is being typed. */
async function pictureOfTokens(browser: Browser, appliance: Appliance): Promise<void> {
  const page = await openPage(browser, 1360, 850, 2);
  await page.goto(`${appliance.url}/dashboard/tokens`);
  await page.locator('.mftn-card').first().waitFor();
  // They take tokens when they know their balance.
  await delay(8000);
  for (const [meter_number, credit_token] of [
    ['09000030529', '54158492421732529281'],
    ['DEMO-02', '23716100501183194197'],
    ['DEMO-03', '33333333333333330001'],
    ['DEMO-04', '33333333333333330010'],
    ['DEMO-05', '33333333333333330503'],
    ['DEMO-02', '33333333333333330007'],
  ])
    await fetch(`${appliance.url}/api/inject_token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ meter_number, credit_token }),
    });
  await page.locator('#mftf-number').fill('09000030529');
  await page.locator('#mftf-token').fill('6720 6107 7160 9568 23');
  await delay(6000);
  await page.screenshot({ path: join(images, 'tokens.png') });
  await page.close();
}

const others = [
  { type: 'hvac', meter_id: 'ROOF-1', name: 'Roof unit', location: 'House 12', base_power: 18 },
  { type: 'sensor', meter_id: 'COLD-3', name: 'Cold room', location: 'Market' },
  { type: 'lighting', meter_id: 'STREET-4', name: 'Street lights', location: 'Street 4' },
  { type: 'gateway', meter_id: 'GATE-E', name: 'Gateway east', location: 'Substation' },
];

/** METER001 of the README. */
async function newcomersMeter(appliance: Appliance): Promise<MqttClient> {
  const login = await register(appliance, { type: 'meter', meter_id: 'METER001' });
  return mqtt.connectAsync(`mqtt://127.0.0.1:${appliance.mqttPort}`, {
    username: login.mqtt_user,
    password: login.mqtt_password,
  });
}

async function register(
  appliance: Appliance,
  device: object,
): Promise<{ mqtt_user: string; mqtt_password: string }> {
  const answer = await fetch(`${appliance.url}/devices`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(device),
  });
  return (await answer.json()) as { mqtt_user: string; mqtt_password: string };
}

/** A meter that was offline for days sends what it has kept, in bursts; then the README's two readings. */
async function catchUp(meter: MqttClient): Promise<void> {
  const send = (kwh: number, time: number): Promise<unknown> => {
    const reading = { kwh_amount: kwh, reading_timestamp: new Date(time).toISOString() };
    return meter.publishAsync('meters/METER001/readings', JSON.stringify(reading), { qos: 1 });
  };
  const end = Date.now() + curveSeconds * 1000;
  const newest = Math.floor(Date.now() / quarterMs) * quarterMs - quarterMs;
  for (let index = 0; Date.now() < end && index < 600; index += 1) {
    const wave = 1 + Math.sin(index / 12);
    await send(Math.round(1000 + wave * 2000) / 10_000, newest - (600 - index) * quarterMs);
    await delay(250 + 400 * wave);
  }
  await send(1.25, Date.now() - 61_000);
  await send(1.5, Date.now());
  await delay(4000);
}

main().then(
  () => console.log(`${images}: dashboard.png, devices.png, payments.png, tokens.png, ingestion.png`),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
