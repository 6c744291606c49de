import { strict as assert } from 'node:assert';
import { flagSetting, numberSetting, textSetting } from '../../nodes/setting.js';

const port = { name: 'Port', min: 1, max: 65_535, whole: true };

describe('A field of a dialog', () => {
  for (const unset of ['', '  ', '${MQTT_BROKER_PORT}', undefined, null]) {
    it(`means its default when it arrives as ${JSON.stringify(unset)}`, () => {
      assert.equal(numberSetting(unset, 1883, port), 1883);
      assert.equal(textSetting(unset, '127.0.0.1'), '127.0.0.1');
      assert.equal(flagSetting(unset, true), true);
    });
  }

  it('takes a number as number or as text', () => {
    assert.equal(numberSetting('8883', 1883, port), 8883);
    assert.equal(numberSetting(8883, 1883, port), 8883);
  });

  for (const wrong of ['0', '65536', '1.5', 'mqtt', '1e9']) {
    it(`refuses ${wrong} as a port and says what is allowed`, () => {
      assert.throws(() => numberSetting(wrong, 1883, port), {
        code: 'CONFIGURATION',
        message: `Port must be a whole number from 1 to 65535, not "${wrong}"`,
      });
    });
  }

  it('takes true, yes, on and 1 as a flag, in any case', () => {
    for (const yes of ['true', 'TRUE', 'yes', 'on', '1', true]) assert.equal(flagSetting(yes, false), true);
    for (const no of ['false', 'no', '0', false]) assert.equal(flagSetting(no, true), false);
  });
});
