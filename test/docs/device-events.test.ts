import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asEvent, type DeviceEvent } from '../../src/events/device-event.js';

const root = join(__dirname, '../..');

describe('docs/protocol.md', () => {
  it('shows a device event exactly as it is published [M-8]', () => {
    const text = readFileSync(join(root, 'docs/protocol.md'), 'utf8');
    const section = text.slice(text.indexOf('## Device events [M-8]'));
    const [, json = ''] = /```json\n([^`]*)```/.exec(section) ?? [];
    const shown = JSON.parse(json) as DeviceEvent;
    // As text: the order of the fields, and none too many.
    assert.equal(JSON.stringify(asEvent({ ...shown, id: '1' })), JSON.stringify(shown));
  });
});
