import assert from 'node:assert/strict';
import { Interest } from '../../src/broker/interest.js';

const answersOf = (meter: number): string => `meters/METER${meter}/token/response`;

describe('The interest of service accounts', () => {
  let interest: Interest;
  beforeEach(() => {
    interest = new Interest();
  });

  it('is in the topics and wildcards that somebody subscribed to, until the last has left', () => {
    interest.add('one', answersOf(1));
    interest.add('two', answersOf(1));
    interest.add('one', 'meters/+/readings');
    assert.deepEqual(
      [answersOf(1), 'meters/METER1/readings', answersOf(2)].map((topic) => interest.matches(topic)),
      [true, true, false],
    );
    interest.remove('one', answersOf(1));
    interest.removeClient('two');
    interest.remove('one', 'meters/+/readings');
    assert.deepEqual(
      [interest.matches(answersOf(1)), interest.matches('meters/METER1/readings')],
      [false, false],
    );
  });

  it('is not in everything because a thousand wait for a topic each', () => {
    for (let meter = 0; meter < 1_000; meter += 1) interest.add('tokens', answersOf(meter));
    assert.equal(interest.matches(answersOf(999)), true);
    assert.equal(interest.matches('meters/METER1/readings'), false);
  });

  it('is in everything when there are too many wildcards to try', () => {
    for (let meter = 0; meter < 65; meter += 1) interest.add('own', `meters/METER${meter}/#`);
    assert.equal(interest.matches('devices/x/telemetry'), true);
  });
});
