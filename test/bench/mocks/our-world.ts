/** A process that plays the mocks of a database, as the node mock-device does. Says `all online` once they are. */
import { openDatabase } from '../../../src/database/database.js';
import { createMockSync } from '../../../src/mocks/mock-sync.js';

const wanted = Number(process.env['BENCH_MOCKS']);
const database = openDatabase({ url: process.env['BENCH_DATABASE_URL'] ?? '', connectionsMax: 4 });
const quiet = (): void => undefined;
const sync = createMockSync({
  database,
  broker: {
    host: '127.0.0.1',
    port: Number(process.env['BENCH_MQTT_PORT']),
    tls: false,
    trust: undefined,
    clientId: 'bench',
    username: 'iot_user',
    password: 'iot123',
  },
  instance: 'bench',
  seed: 1,
  telemetrySeconds: 5,
  log: { debug: quiet, info: quiet, warn: (line) => void process.stderr.write(`${line}\n`) },
});
sync.start();
const timer = setInterval(() => {
  if (sync.state.online < wanted) return;
  clearInterval(timer);
  process.stdout.write('all online\n');
}, 50);
process.once('SIGTERM', () => {
  void sync
    .stop(true)
    .then(() => database.close())
    .finally(() => process.exit(0));
});
