/**
 * `npm run certificates -- --out DIR --device METER001 [--device …] [--host meters.example.com …] [--days 365]`: a
 * certificate authority for development, a certificate for the broker and one per device. A second run with the same
 * folder keeps the authority and what is there, and adds what is not; `--renew` makes the broker's anew.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { type Issued, createAuthority, loadAuthority } from './certificates/authority.js';

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: './certificates' },
      device: { type: 'string', multiple: true, default: [] },
      host: { type: 'string', multiple: true, default: [] },
      days: { type: 'string', default: '365' },
      renew: { type: 'boolean', default: false },
    },
  });
  const days = Number(values.days);
  if (!Number.isInteger(days) || days < 1 || days > 3650)
    throw new Error('--days: a whole number, 1 to 3650');
  for (const name of values.device) {
    if (!/^[A-Za-z0-9_-]{1,50}$/.test(name) || ['ca', 'server'].includes(name))
      throw new Error(`--device ${name}: the meter_id or id of a device`);
  }
  const folder = resolve(values.out);
  mkdirSync(folder, { recursive: true, mode: 0o700 });

  const known = read(folder, 'ca');
  const authority = known === null ? await createAuthority() : await loadAuthority(known);
  if (known === null) write(folder, 'ca', authority);
  if (values.renew || read(folder, 'server') === null) {
    const hosts = ['localhost', '127.0.0.1', '::1', hostname(), ...values.host];
    write(folder, 'server', await authority.server([...new Set(hosts)], days));
  }
  for (const name of values.device)
    if (read(folder, name) === null) write(folder, name, await authority.device(name, { days }));

  const place = (file: string): string => {
    const near = relative(process.cwd(), join(folder, file));
    return near.startsWith('..') ? join(folder, file) : near;
  };
  const [device = 'METER001'] = values.device;
  process.stdout.write(`
The broker, in .env or the environment:

  MQTT_TLS_CERT=${place('server.crt')}
  MQTT_TLS_KEY=${place('server.key')}
  MQTT_TLS_CA=${place('ca.crt')}

A device (register ${device} first; --host adds names under which the broker is reached):

  mosquitto_pub -h localhost -p 8883 --cafile ${place('ca.crt')} --cert ${place(`${device}.crt`)} --key ${place(`${device}.key`)} \\
    -i ${device} -q 1 -t meters/${device}/readings -m '{"kwh_amount":0.25,"reading_timestamp":'$(date +%s)'}'

For development only: the key of the authority lies unencrypted in ${place('ca.key')}.
`);
}

function read(folder: string, name: string): Issued | null {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  if (!existsSync(cert) || !existsSync(key)) return null;
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

function write(folder: string, name: string, { cert, key }: Issued): void {
  writeFileSync(join(folder, `${name}.key`), key, { mode: 0o600 });
  writeFileSync(join(folder, `${name}.crt`), cert);
  process.stdout.write(`made ${name}.crt and ${name}.key\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
