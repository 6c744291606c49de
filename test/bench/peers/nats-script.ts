/**
 * The bridge that an expert would write in an hour: one MQTT subscription, one JetStream publish per message, the subject
 * is the topic with dots. Mosquitto has acknowledged to the meter before, and mqtt.js to Mosquitto.
 */
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { connect } from 'mqtt';

async function main(): Promise<void> {
  const nats = await connectNats({ servers: process.env['PEER_NATS_URL'] ?? '', maxReconnectAttempts: -1 });
  const manager = await jetstreamManager(nats);
  await manager.streams.add({ name: 'METERFLOW', subjects: ['meterflow.>'] });
  const js = jetstream(nats);
  const client = connect(`mqtt://127.0.0.1:${process.env['PEER_MQTT_PORT']}`, {
    clientId: 'bridge',
    clean: false,
    protocolVersion: 4,
  });
  client.on('connect', () => {
    client.subscribe('meters/+/readings', { qos: 1 }, () => process.stdout.write('subscribed\n'));
  });
  client.on('message', (topic, payload) => {
    // A failure is counted by whoever compares; to do more is what makes a bridge long.
    js.publish(`meterflow.${topic.replaceAll('/', '.')}`, payload).catch(() => undefined);
  });
}

process.on('SIGTERM', () => process.exit(0));
void main();
