import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isTooLong, subjectOf, topicOf } from '../../src/forward/subject.js';
import { chanceOf } from '../ledger/chance.js';

const doc = readFileSync(resolve(__dirname, '../../docs/protocol.md'), 'utf8');

describe('the NATS subject of a topic', () => {
  it('is what docs/protocol.md says', () => {
    const part = doc.slice(doc.indexOf('### Subjects'), doc.indexOf('### Headers'));
    const rows = [...part.matchAll(/^\| `([^`]+)`\s+\| `([^`]+)`\s+\|$/gm)];
    assert.ok(rows.length >= 7);
    for (const [, topic = '', subject] of rows) {
      assert.equal(subjectOf('meterflow', topic), subject);
      assert.equal(topicOf('meterflow', subject ?? ''), topic);
    }
  });

  it('gives back every topic, is valid in NATS, and another one for every topic', () => {
    const characters: [string, ...string[]] = [
      '/',
      '/',
      '.',
      '*',
      '>',
      '%',
      ' ',
      '\t',
      '\n',
      '\r',
      '\u007f',
      '\u0085',
      '\u00a0',
      '\u3000',
      '$',
      'é',
      '💡',
      '0',
      '2',
      'E',
      '\u0001',
    ];
    const chance = chanceOf(4711);
    const seen = new Map<string, string>();
    for (let round = 0; round < 20_000; round++) {
      const length = chance.whole(1, 9);
      const topic = Array.from({ length }, () => chance.pick(characters)).join('');
      const subject = subjectOf('a.b', topic);
      assert.equal(topicOf('a.b', subject), topic);
      assert.match(subject, /^a\.b(?:\.[^\s.*>\p{Cc}]+)+$/u);
      assert.equal(seen.get(subject) ?? topic, topic);
      seen.set(subject, topic);
    }
    assert.ok(seen.size > 10_000);
  });

  it('of a topic too long for a subject is its hash', () => {
    const longest = `devices/x/${'a'.repeat(1_024 - 'p.devices.x.'.length)}`;
    assert.equal(topicOf('p', subjectOf('p', longest)), longest);
    const subject = subjectOf('p', `${longest}a`);
    assert.match(subject, /^p\.%LONG\.[0-9a-f]{64}$/);
    assert.ok(isTooLong('p', subject) && !isTooLong('p', subjectOf('p', longest)));
    assert.equal(topicOf('p', subject), null);
    assert.ok(isTooLong('p', subjectOf('p', `d/${'é'.repeat(600)}`)), 'bytes count, not characters');
  });

  it('of another prefix is none of ours', () => {
    assert.equal(topicOf('meterflow', 'meterflows.a'), null);
    assert.equal(topicOf('meterflow', 'meterflow'), null);
  });

  it('cannot be mistaken for that of a level that says %LONG', () => {
    assert.equal(subjectOf('p', '%LONG/x'), 'p.%25LONG.x');
  });
});
