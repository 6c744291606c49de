import { strict as assert } from 'node:assert';
import { createPasswords } from '../../src/callers/passwords.js';
import { refuseWeakPassword } from '../../src/callers/weak-passwords.js';
import { DomainError } from '../../src/errors.js';
import { quickPasswords } from './house.js';

const isBusy = (error: unknown): boolean => error instanceof DomainError && error.code === 'LOGIN_BUSY';

describe('Passwords', () => {
  it('match their hash and no other, whatever keyboard wrote them', async () => {
    const passwords = quickPasswords();
    const stored = await passwords.hash('pässword of Ünal');
    assert.match(stored, /^\$scrypt\$ln=4,r=8,p=1\$[\w-]{22}\$[\w-]{43}$/);
    assert.equal(await passwords.matches('pässword of Ünal'.normalize('NFD'), stored), true);
    assert.equal(await passwords.matches('passwort of Ünal', stored), false);
    assert.notEqual(await passwords.hash('pässword of Ünal'), stored);
  });

  it('match by the cost that stands in the hash', async () => {
    const stored = await createPasswords({ cost: 5 }).hash('twelve letters');
    assert.equal(await quickPasswords().matches('twelve letters', stored), true);
  });

  const bad = [
    null,
    '',
    'twelve letters',
    '$scrypt$ln=40,r=8,p=1$AA$AA',
    '$scrypt$ln=4,r=8,p=1$AA$',
    '$2b$10$abc',
  ];
  for (const stored of bad)
    it(`match nothing where the hash is ${JSON.stringify(stored)}`, async () => {
      for (const password of ['', 'twelve letters', stored ?? ''])
        assert.equal(await quickPasswords().matches(password, stored), false);
    });

  it('are compared two at a time; forty wait, and more are told to come back', async () => {
    const passwords = quickPasswords({ atOnce: 2, waitingMax: 40 });
    const all = Array.from({ length: 100 }, () => passwords.matches('x', null));
    const outcomes = await Promise.allSettled(all);
    const busy = outcomes.filter(({ status }) => status === 'rejected');
    assert.equal(busy.length, 58);
    assert.ok(busy.every((outcome) => isBusy((outcome as PromiseRejectedResult).reason)));
    // Nobody's place was lost.
    const later = await Promise.allSettled(Array.from({ length: 42 }, () => passwords.matches('x', null)));
    assert.ok(later.every(({ status }) => status === 'fulfilled'));
  });

  it('take as long where nobody is', async () => {
    const passwords = createPasswords({ cost: 13 });
    const stored = await passwords.hash('twelve letters');
    const took = async (hash: string | null): Promise<number> => {
      const times: number[] = [];
      for (let turn = 0; turn < 9; turn += 1) {
        const from = performance.now();
        await passwords.matches('another password', hash);
        times.push(performance.now() - from);
      }
      return times.sort((a, b) => a - b)[0] ?? 0;
    };
    const [known, unknown] = [await took(stored), await took(null)];
    // Not the clock's exactness: without the work it would be a thousandth.
    assert.ok(unknown > known / 5 && known > unknown / 5, `${known} ms, ${unknown} ms`);
  });

  const weak = [
    'olga.n@example.org',
    'OLGA.N@Example.org',
    'olga.nolga.n',
    'passwordpassword',
    'Password1234',
    'aaaaaaaaaaaa',
    'abababababab',
    '123456789012',
  ];
  for (const password of weak)
    it(`may not be ${password}`, () => {
      assert.throws(
        () => refuseWeakPassword(password, 'olga.n@example.org'),
        (error: unknown) =>
          error instanceof DomainError && error.code === 'PASSWORD_WEAK' && !error.message.includes(password),
      );
    });

  it('may be anything else', () => {
    for (const password of [
      'correct horse, battery staple',
      'tr0ub4dor&3xx',
      'олга живе тут',
      '密码密码很长的密码啊啊啊啊',
    ])
      refuseWeakPassword(password, 'olga.n@example.org');
  });
});
