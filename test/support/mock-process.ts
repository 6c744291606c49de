/**
 * A Node-RED of its own that only plays mocks: the right half of the tab Mock sync in another process. Its first argument
 * is `{"database": url, "mqtt": port, "instance": name, "user": …, "password": …}`; it prints what leaves the node.
 */
import { startFlow } from '../nodes/flow.js';

interface Place {
  readonly database: string;
  readonly mqtt: number;
  readonly instance: string;
  readonly user: string;
  readonly password: string;
}

const outputs = ['created', 'updated', 'deleted'] as const;

async function main({ database, mqtt, instance, user, password }: Place): Promise<void> {
  const flow = await startFlow(
    [
      { id: 'db', type: 'meter-database', url: database, connectionsMax: '4' },
      { id: 'mqtt', type: 'meter-mqtt', host: '127.0.0.1', port: String(mqtt), tls: '', clientId: instance },
      {
        id: 'mocks',
        type: 'mock-device',
        database: 'db',
        mqtt: 'mqtt',
        keyring: '',
        enabled: 'on',
        instance,
        seed: '1',
        telemetrySeconds: '1',
        wires: [['created'], ['updated'], ['deleted'], []],
      },
      ...outputs.map((id) => ({ id, type: 'helper' })),
    ],
    { mqtt: { user, password } },
  );
  const told = { created: 0, updated: 0, deleted: 0 };
  setInterval(() => {
    for (const output of outputs) {
      for (const { payload } of flow.received(output).slice(told[output]))
        process.stdout.write(`${output} ${(payload as { real_id: string }).real_id}\n`);
      told[output] = flow.received(output).length;
    }
  }, 20);
  process.stdout.write('ready\n');
}

void main(JSON.parse(process.argv[2] ?? '{}') as Place);
