import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createAddressList } from '../../src/payments/addresses.js';
import { createSecretCheck } from '../../src/payments/path-secret.js';
import { mayBePhone, phoneNumberOf } from '../../src/payments/phone.js';

describe('who pays and who calls', () => {
  const asked = '254712345678';
  const phones: readonly [said: string | null, fits: boolean][] = [
    ['254712345678', true],
    ['+254 712 345 678', true],
    ['0712345678', true],
    ['712345678', true],
    ['254712345679', false],
    ['2547*****678', true],
    ['2547*****679', false],
    ['0712***678', true],
    ['0722***678', false],
    ['254 **** 678', true],
    ['*********678', true],
    ['XXXXXXXXX679', false],
    [createHash('sha256').update(asked).digest('hex'), true],
    [createHash('sha256').update('another').digest('hex'), true],
    [null, true],
  ];
  for (const [said, fits] of phones) {
    it(`a phone said to be ${said} ${fits ? 'may' : 'cannot'} be ${asked}`, () => {
      assert.equal(mayBePhone(asked, said), fits);
    });
  }

  it('writes phone numbers as the provider wants them', () => {
    for (const text of ['0712345678', '+254712345678', '254 712-345-678', 712345678])
      assert.equal(phoneNumberOf(text), asked);
    assert.equal(phoneNumberOf('0112345678'), '254112345678');
    assert.equal(phoneNumberOf('255712345678'), '255712345678');
    for (const text of ['', '12', 'call me', '0012345678', null, {}]) assert.equal(phoneNumberOf(text), null);
  });

  it('knows addresses on its list, also as a socket of both families writes them', () => {
    const isListed = createAddressList('196.201.214.0/24, 10.0.0.7, 2001:db8::/32');
    for (const address of ['196.201.214.200', '::ffff:196.201.214.1', '10.0.0.7', '2001:db8::1'])
      assert.ok(isListed(address), address);
    for (const address of ['196.201.213.255', '10.0.0.8', '::1', '', 'localhost', null, '2001:db9::1'])
      assert.ok(!isListed(address), String(address));
    assert.ok(createAddressList(' ')('8.8.8.8'));
    for (const wrong of ['10.0.0.0/33', 'localhost', '10.0.0.7/', '10.0.0.7/a'])
      assert.throws(() => createAddressList(wrong), { code: 'CONFIGURATION' }, wrong);
  });

  it('knows its secret, and takes nothing for it when it has none', () => {
    const isSecret = createSecretCheck('0123456789abcdef');
    assert.ok(isSecret('0123456789abcdef'));
    for (const said of ['0123456789abcdeF', '0123456789abcde', '', undefined, null, ['0123456789abcdef']])
      assert.ok(!isSecret(said), String(said));
    for (const said of ['', undefined]) assert.ok(!createSecretCheck('')(said));
  });
});
