import { DomainError } from '../errors.js';

/** Of the commonest ones those that are long enough, and what people here would think of; small letters. */
const common = new Set([
  '123456789012',
  '1234567890123',
  '12345678901234',
  '123456789123',
  '123123123123',
  '012345678901',
  '0123456789012',
  '098765432109',
  '987654321098',
  '121212121212',
  '112233445566',
  '1q2w3e4r5t6y',
  '1qaz2wsx3edc',
  '1qaz2wsx3edc4rfv',
  'q1w2e3r4t5y6',
  'qwerty123456',
  'qwertyuiop12',
  'qwertyuiop123',
  'qwertyuiop[]',
  'qwertyqwerty',
  'qwerty1234567',
  'asdfghjkl123',
  "asdfghjkl;'",
  'zaq12wsxcde3',
  'abcdefghijkl',
  'abcdefghijklm',
  'abc123abc123',
  'abcd12345678',
  'aa1234567890',
  'password1234',
  'password12345',
  'password123456',
  'password2024',
  'password2025',
  'password2026',
  'passwordpassword',
  'mypassword123',
  'p@ssw0rd1234',
  'p@ssword1234',
  'passw0rd1234',
  'administrator',
  'administrator1',
  'admin1234567',
  'admin12345678',
  'adminadmin12',
  'adminadminadmin',
  'root12345678',
  'welcome12345',
  'welcome123456',
  'letmein12345',
  'letmein123456',
  'iloveyou1234',
  'iloveyou12345',
  'changeme1234',
  'changemeplease',
  'changeit1234',
  'secret123456',
  'football1234',
  'liverpool123',
  'manchesterunited',
  'unitedkingdom',
  'superman1234',
  'sunshine1234',
  'princess1234',
  'jesuschrist1',
  'computer1234',
  'internet1234',
  'correcthorsebatterystaple',
  'meterflow123',
  'meterflow1234',
  'meterflowadmin',
  'smartmeter123',
  'smartmeters1',
  'electricity1',
  'electricity123',
]);

/** Fewer different characters than this are a keyboard's key held down. */
const differentMin = 5;

/** @param email small letters @throws DomainError PASSWORD_WEAK */
export function refuseWeakPassword(password: string, email: string): void {
  const small = password.normalize('NFKC').toLowerCase();
  const [name = ''] = email.split('@', 1);
  if (small === email || small === name || small === `${name}${name}`) throw weak('it is the e-mail');
  if (common.has(small)) throw weak('it is one of the commonest');
  if (new Set(small).size < differentMin)
    throw weak(`it has fewer than ${differentMin} different characters`);
}

function weak(why: string): DomainError {
  return new DomainError('PASSWORD_WEAK', `This password is easily guessed: ${why}.`, {
    details: [{ path: '/password', message: `is easily guessed: ${why}` }],
  });
}
