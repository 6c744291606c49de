import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = resolve(__dirname, '../..');
const client = join(root, 'docs/client');

/** The example itself runs in test/system/docs.test.ts. */
describe('docs/client, the typed client', function () {
  this.timeout(60_000);
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'meterflow-client-'));
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has the types of the API document as it is', () => {
    const { code, text } = node(['--require', 'tsx/cjs', join(root, 'scripts/client-types.ts'), '--check']);
    assert.equal(code, 0, text);
  });

  it('refuses, when compiled, what the API would refuse', () => {
    writeFileSync(join(folder, 'wrong.mts'), wrong);
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: join(client, 'tsconfig.json'), include: ['*.mts'] }),
    );
    const { code, text } = node([join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]);
    assert.equal(code, 0, text);
  });
});

/** Compiles only when each marked line does not. */
const wrong = `
import { answer, createMeterflow, Refusal, type LiveMessage } from '${client}/meterflow.ts';

const api = createMeterflow('http://127.0.0.1:1880');
// @ts-expect-error no such route
void api.GET('/device');
// @ts-expect-error a device has a type
void api.POST('/devices', { body: { name: 'Kitchen' } });
// @ts-expect-error whose balance?
void api.GET('/api/meters/{meter_id}/balance');
// @ts-expect-error no such order
void api.GET('/devices', { params: { query: { order: 'upwards' } } });
const { data, total } = await answer(api.GET('/devices', { params: { query: { order: 'asc' } } }));
console.log(total.toFixed(), data[0]?.meter_id.length);
// @ts-expect-error no such field
console.log(data[0]?.password);

export function reasonOf(error: unknown): string {
  if (!(error instanceof Refusal)) return 'none of ours';
  // @ts-expect-error no such code
  return error.code === 'METER_UNHEARD_OF' ? 'never given' : error.code;
}

export function unitsOf(message: LiveMessage): number {
  // @ts-expect-error not every event has a balance
  if (message.data.balance === 0) return 0;
  return message.event === 'BalanceChanged' ? message.data.balance : 0;
}
`;

function node(args: readonly string[]): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args], { cwd: root, encoding: 'utf8' });
  return { code: status, text: stdout + stderr };
}
