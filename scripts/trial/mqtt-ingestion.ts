/**
 * The part of scripts/test-mqtt-ingestion.sh that does it: registers meters, publishes their readings with QoS 1 twice, as
 * meters do that missed the PUBACK, and compares what is stored with what was sent.
 */
import { readFileSync } from 'node:fs';
import mqtt, { type MqttClient } from 'mqtt';
import { trialHouse, wholeNumber } from './house.js';
import { readingsOf, trialPlan, withMeters, type TrialMeter, type TrialReading } from './meters.js';
import { storedProblems, tableProblems } from './stored.js';
import { conclude } from './verdict.js';

void conclude(() => {
  const house = trialHouse();
  const plan = trialPlan();
  return withMeters(house, plan, async (meters) => {
    const clients: MqttClient[] = [];
    try {
      for (const meter of meters) clients.push(await house.within('no MQTT connection', connect(meter)));
      say(`${meters.length} meters are connected to ${broker()}${plan.sign ? ', and sign' : ''}`);
      const sent = readingsOf(meters, plan.readings);
      for (const round of ['first', 'again']) {
        const begun = performance.now();
        const acknowledged = Promise.all(sent.map((reading) => publish(clients, meters, reading)));
        await house.within(`not every PUBACK has come (${round})`, acknowledged);
        say(`${sent.length} readings acknowledged in ${Math.round(performance.now() - begun)} ms (${round})`);
      }
      // A PUBACK leaves after the commit: there is nothing to wait for.
      return [...(await storedProblems(house, meters, sent)), ...(await tableProblems(meters, sent))];
    } finally {
      await Promise.all(clients.map((client) => client.endAsync(true)));
    }
  });
});

function broker(): string {
  const { MQTT_HOST: host = '127.0.0.1', MQTT_CA: ca = '' } = process.env;
  const port = wholeNumber('MQTT_PORT', ca === '' ? 1883 : 8883, { min: 1, max: 65_535 });
  return `${ca === '' ? 'mqtt' : 'mqtts'}://${host}:${port}`;
}

function connect({ mqtt_user, mqtt_password }: TrialMeter): Promise<MqttClient> {
  const { MQTT_CA: ca = '' } = process.env;
  return mqtt.connectAsync(
    broker(),
    {
      username: mqtt_user,
      password: mqtt_password,
      clientId: mqtt_user,
      connectTimeout: 10_000,
      ...(ca === '' ? {} : { ca: readFileSync(ca) }),
    },
    false,
  );
}

function publish(
  clients: readonly MqttClient[],
  meters: readonly TrialMeter[],
  { meter_id, ...reading }: TrialReading,
): Promise<unknown> {
  const client = clients[meters.findIndex((meter) => meter.meter_id === meter_id)] as MqttClient;
  return client.publishAsync(`meters/${meter_id}/readings`, JSON.stringify(reading), { qos: 1 });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
