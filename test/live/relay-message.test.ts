import assert from 'node:assert/strict';
import { isOwn, readRelay, relayText } from '../../src/live/relay-message.js';
import { balance } from './house.js';

describe('a message between instances', () => {
  it('is read as it was written, and known as our own by its beginning', () => {
    const text = relayText('ia1', 7, [JSON.stringify(balance('A')), JSON.stringify(balance('B'))]);
    assert.deepEqual(readRelay(text), { instance: 'ia1', first: 7, events: [balance('A'), balance('B')] });
    assert.ok(isOwn('ia1', text));
    assert.ok(!isOwn('ia', text));
  });

  it('keeps the place of an event that it does not know', () => {
    const text = relayText('ia1', 7, ['{"event":"Tomorrow","data":{}}', JSON.stringify(balance('B'))]);
    assert.deepEqual(readRelay(text)?.events, [null, balance('B')]);
  });

  const strangers = [
    '',
    'hello',
    'null',
    '[]',
    '{"instance":"ia1"}',
    '{"instance":"a b","first":0,"events":[]}',
    '{"instance":"ia1","first":-1,"events":[]}',
    '{"instance":"ia1","first":0.5,"events":[]}',
    '{"instance":"ia1","first":0,"events":{}}',
  ];
  for (const text of strangers)
    it(`takes ${JSON.stringify(text)} for a stranger's`, () => assert.equal(readRelay(text), null));
});
