import { strict as assert } from 'node:assert';
import type { KnownCaller, Scope } from '../../src/callers/caller.js';
import { judge, whos, type Judgement } from '../../src/callers/policy.js';

const person = (role: KnownCaller['role'], kind: KnownCaller['kind'] = 'person'): KnownCaller => ({
  kind,
  name: 'somebody',
  user_id: null,
  role,
  scopes: null,
  expires_at: null,
});
const key = (role: KnownCaller['role'], scopes: readonly Scope[]): KnownCaller => ({
  ...person(role, 'key'),
  scopes,
});

const callers: Readonly<Record<string, KnownCaller>> = {
  prosumer: person('prosumer'),
  operator: person('operator'),
  admin: person('admin'),
  'the administrator': person('admin', 'administrator'),
  'the stranger of a demo': person('admin', 'demo'),
  'a key': key('operator', ['mqtt', 'payments:read']),
  'a key of a prosumer': key('prosumer', ['payments:read']),
  'a key of an admin': key('admin', ['payments:read']),
  'a key for something else': key('admin', ['readings:read']),
  'a key for nothing': key('admin', []),
};

// In the order of `whos`: anyone, user, owner, operator, admin, machine; ✓ allowed, o if he owns the meter.
const table: Readonly<Record<string, string>> = {
  prosumer: '✓ ✓ o role role role',
  operator: '✓ ✓ ✓ ✓ role role',
  admin: '✓ ✓ ✓ ✓ ✓ ✓',
  'the administrator': '✓ ✓ ✓ ✓ ✓ ✓',
  'the stranger of a demo': '✓ ✓ ✓ ✓ ✓ ✓',
  'a key': '✓ ✓ ✓ ✓ role ✓',
  'a key of a prosumer': '✓ ✓ o role role ✓',
  'a key of an admin': '✓ ✓ ✓ ✓ ✓ ✓',
  'a key for something else': '✓ scope scope scope scope scope',
  'a key for nothing': '✓ scope scope scope scope scope',
};
const meanings: Readonly<Record<string, Judgement>> = { '✓': 'allowed', o: 'if-owner' };

describe('Who may', () => {
  for (const [name, row] of Object.entries(table)) {
    it(`is as the table says for ${name}`, () => {
      const caller = callers[name] as KnownCaller;
      const found = whos.map((who) => judge({ who, scope: 'payments:read' }, caller));
      assert.deepEqual(
        found,
        row.split(' ').map((word) => meanings[word] ?? word),
      );
    });
  }

  it('lets no key in where there is no scope, whatever its role', () => {
    const all = key('admin', ['mqtt', 'live', 'metrics', 'devices:read']);
    for (const who of whos.slice(1)) assert.equal(judge({ who, scope: null }, all), 'scope');
  });
});
