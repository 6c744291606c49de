import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.js';
import { freePort, listens } from '../../support/ports.js';
import { startChild, type Child } from './child.js';

export interface Mosquitto {
  readonly port: number;
  readonly child: Child;
}

/**
 * Mosquitto of the distribution, without logins. `queuedMax` is how many QoS 1 messages wait for a subscriber that is
 * behind: what comes then is acknowledged to the publisher and dropped. 1,000 is Mosquitto's own default.
 */
export async function startMosquitto(folder: string, queuedMax: number): Promise<Mosquitto> {
  const port = await freePort();
  const file = join(folder, 'mosquitto.conf');
  const lines = [
    `listener ${port} 127.0.0.1`,
    'allow_anonymous true',
    'persistence false',
    'set_tcp_nodelay true',
    `max_queued_messages ${queuedMax}`,
    'log_dest stderr',
    'log_type warning',
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const path = `/usr/sbin:/usr/local/sbin:${process.env['PATH'] ?? ''}`;
  const child = startChild('mosquitto', ['-c', file], { env: { PATH: path } });
  try {
    // It says nothing when it is ready; it is, once it takes a connection.
    await eventually(() => listens(port), { timeoutMs: 5_000 });
  } catch (cause) {
    await child.stop();
    throw new Error('Mosquitto is missing or did not start. Install it with: apt-get install -y mosquitto', {
      cause,
    });
  }
  return { port, child };
}
