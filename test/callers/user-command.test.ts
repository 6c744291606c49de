import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createPasswords } from '../../src/callers/passwords.js';
import { userCommand } from '../../appliance/user-command.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { quickPasswords } from './house.js';

const command = join(__dirname, '../../appliance/user.ts');

describe('npm run user', function () {
  this.timeout(60_000);
  let test: TestDatabase;
  before(async () => {
    test = await createTestDatabase();
  });
  after(() => test.drop());

  /** @returns all that is printed, and the exit code */
  function run(args: readonly string[], input = ''): Promise<{ text: string; code: number | null }> {
    const child = spawn(process.execPath, ['--require', 'tsx/cjs', command, ...args], {
      env: { ...process.env, DATABASE_URL: test.url },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    return new Promise((resolve) => child.on('close', (code) => resolve({ text, code })));
  }

  it('makes the first admin, and shows no password', async () => {
    const made = await run(['add', 'Olga@Example.org', '--role', 'admin'], 'correct horse, battery staple\n');
    assert.deepEqual(made, { text: 'admin olga@example.org may log in\n', code: 0 });
    const { rows } = await test.database.query<{ role: string; password_hash: string }>({
      text: 'select role, password_hash from users',
    });
    assert.equal(rows[0]?.role, 'admin');
    assert.ok(
      await createPasswords().matches('correct horse, battery staple', rows[0]?.password_hash ?? null),
    );
    const { rows: audited } = await test.database.query<{ actor: string }>({
      text: 'select actor from audit_log',
    });
    assert.match(audited[0]?.actor ?? '', /^npm run user \(/);
  });

  it('keeps the rules of the API, and says what is wrong', async () => {
    const runs: [args: string[], password: string, told: RegExp][] = [
      [['add', 'a@x.org'], 'correct horse, battery', /role is missing/],
      [['password', 'olga@example.org'], 'password1234', /easily guessed/],
      [['disable', 'olga@example.org'], '', /last admin who can log in/],
      [['password', 'nobody@example.org'], '', /There is no account/],
      [['list'], '', /^admin +olga@example.org {2}never\n$/],
      [['add', 'b@x.org', '--role', 'admin', '--no-password'], '', /^admin b@x.org may log in/],
      [['password', 'olga@example.org'], 'another good password', /all tokens made until now are void/],
      [['role', 'b@x.org', 'prosumer'], '', /^b@x.org is prosumer/],
      [['disable', 'b@x.org'], '', /is disabled/],
      [['list'], '', /prosumer {2}b@x.org \(disabled\) {2}never/],
      [['enable', 'b@x.org'], '', /may log in again/],
    ];
    for (const [args, password, words] of runs) {
      const options = {
        database: test.database,
        passwords: quickPasswords(),
        passwordNeeded: true,
        askPassword: () => Promise.resolve(password),
      };
      const told = await userCommand(args)?.(options).catch(String);
      assert.match(told ?? '', words, args.join(' '));
    }
    assert.equal(userCommand(['remove', 'olga@example.org']), null);
    assert.equal(userCommand(['add']), null);
  });
});
