// npm run screenshot – docs/images/{ingestion,dashboard}.png for the README, from the real thing.
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import mqtt from 'mqtt';
import { startAppliance, type Appliance } from '../test/support/appliance.js';
import { openBrowser, openPage, openTab } from '../test/support/browser.js';

const images = resolve(__dirname, '../docs/images');
/** So long the curves of the dashboard grow before the picture is taken. */
const curveSeconds = Number(process.env['SCREENSHOT_SECONDS'] ?? 60);

async function main(): Promise<void> {
  mkdirSync(images, { recursive: true });
  const appliance = await startAppliance({ env: { VIRTUAL_METERS: '6' } });
  const browser = await openBrowser();
  try {
    await newcomersMeter(appliance);
    const dashboard = await openPage(browser, 1360, 850, 2);
    await dashboard.goto(`${appliance.url}/dashboard`);
    await delay(curveSeconds * 1000);
    await dashboard.screenshot({ path: join(images, 'dashboard.png') });
    const editor = await openPage(browser, 1360, 560, 2);
    await openTab(editor, appliance.url, 'Ingestion');
    await editor.mouse.move(700, 500);
    await delay(3000);
    await editor.screenshot({
      path: join(images, 'ingestion.png'),
      clip: { x: 0, y: 0, width: 1360, height: 510 },
    });
  } finally {
    await browser.close();
    await appliance.stop();
  }
}

/** What the README tells the newcomer to do: one reading that is stored, one that is too close to it. */
async function newcomersMeter(appliance: Appliance): Promise<void> {
  const answer = await fetch(`${appliance.url}/devices`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'meter', meter_id: 'METER001' }),
  });
  const { mqtt_user, mqtt_password } = (await answer.json()) as { mqtt_user: string; mqtt_password: string };
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${appliance.mqttPort}`, {
    username: mqtt_user,
    password: mqtt_password,
  });
  for (const [kwh, secondsAgo] of [
    [1.25, 61],
    [1.5, 0],
  ] as const) {
    const reading = {
      kwh_amount: kwh,
      reading_timestamp: new Date(Date.now() - secondsAgo * 1000).toISOString(),
    };
    await client.publishAsync('meters/METER001/readings', JSON.stringify(reading), { qos: 1 });
  }
  await client.endAsync();
}

main().then(
  () => console.log(`${images}: dashboard.png, ingestion.png`),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 1;
  },
);
