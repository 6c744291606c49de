import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asCardRequest } from '../../src/devices/card-request.js';
import { installerCard } from '../../src/devices/installer-card.js';
import { deviceAddress } from '../../src/mqtt/device-address.js';

const protocol = readFileSync(join(__dirname, '../../docs/protocol.md'), 'utf8');

interface Code {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly device_id: string;
  readonly meter_id: string;
  readonly drn: string;
  readonly type: string;
  readonly key: { readonly algorithm: string; readonly secret: string };
}

describe('the section Installer cards of docs/protocol.md', () => {
  const section = protocol.split('### Installer cards')[1]?.split('\n## ')[0] ?? '';
  const shown = JSON.parse(/```json\n([\s\S]*?)```/.exec(section)?.[1] ?? 'null') as Code;
  const { user, password, device_id, url, ...device } = shown;
  const request = { ...device, id: device_id, mqtt_user: user, mqtt_password: password };
  const doors = { isExternal: false, host: '127.0.0.1', port: 1883, tls: false, tlsPort: 8883 };
  const address = deviceAddress({ ...doors, publicUrl: url, certFile: '', caFile: '' });
  const codeOf = (input: object): unknown =>
    JSON.parse(installerCard(asCardRequest(input), address, 'hmac', 0).code);

  it('shows what the code of such a device holds, field by field and in this order', () => {
    const { code } = installerCard(asCardRequest(request), address, 'hmac', 0);
    assert.equal(code, JSON.stringify(shown));
  });

  it('names the fields that may be absent', () => {
    const bare = codeOf({ ...request, meter_id: device_id, drn: null, key: null }) as object;
    const absent = Object.keys(shown).filter((name) => !(name in bare));
    assert.deepEqual(absent, ['meter_id', 'drn', 'key']);
    for (const name of absent) assert.match(section, new RegExp(`Absent when[\\s\\S]*\`${name}\``));
    const { key } = codeOf({ ...request, key: { algorithm: 'ed25519' } }) as { key: object };
    assert.deepEqual(key, { algorithm: 'ed25519' });
  });
});
