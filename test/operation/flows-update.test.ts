import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { installFlows, updateFlows } from '../../appliance/flows.js';
import type { FlowNode } from '../../src/operation/flow-files.js';

describe('shipped flows in the user’s flow file', () => {
  let root: string;
  let userDir: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'meterflow-flows-'));
    cpSync(resolve(__dirname, '../../flows'), join(root, 'flows'), { recursive: true });
    userDir = join(root, 'node-red');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const read = (): FlowNode[] => JSON.parse(readFileSync(join(userDir, 'flows.json'), 'utf8')) as FlowNode[];

  it('are installed once and then left to the user', () => {
    assert.equal(installFlows(root, userDir).outcome, 'installed');
    edit(join(userDir, 'flows.json'), '"Check readings"', '"My check"');
    const again = installFlows(root, userDir);
    assert.deepEqual([again.outcome, again.newer], ['kept', []]);
    assert.ok(read().some((node) => node.name === 'My check'));
  });

  it('are named when they are newer, and taken over only on demand, with the old file kept', () => {
    installFlows(root, userDir);
    const own: FlowNode = { id: 'aaaaaaaaaaaaaaaa', type: 'tab', label: 'Mine' };
    writeFileSync(join(userDir, 'flows.json'), JSON.stringify([...read(), own]));
    edit(join(root, 'flows', 'ingestion.json'), '"Check readings"', '"Check them better"');
    assert.deepEqual(installFlows(root, userDir).newer, ['ingestion']);

    const { taken, backup } = updateFlows(root, userDir);
    assert.deepEqual(taken, ['ingestion']);
    assert.ok(read().some((node) => node.name === 'Check them better'));
    assert.ok(read().some((node) => node.label === 'Mine'));
    assert.ok(readFileSync(String(backup), 'utf8').includes('"Check readings"'));
    assert.deepEqual(installFlows(root, userDir).newer, []);
    assert.deepEqual(updateFlows(root, userDir), { taken: [], backup: null, lacking: [] });
  });

  it('bring the credentials of their config nodes along, and leave those of the user alone', () => {
    installFlows(root, userDir);
    const path = join(userDir, 'flows_cred.json');
    const provider = read().find(({ type }) => type === 'meter-payments')?.id ?? '';
    const credentials = JSON.parse(readFileSync(path, 'utf8')) as Record<string, object>;
    const { [provider]: shipped, ...others } = credentials;
    writeFileSync(path, JSON.stringify({ ...others, mine: { password: 'x' } }));
    edit(join(root, 'flows', 'payment.json'), '"Take the callback"', '"Take it"');
    assert.deepEqual(updateFlows(root, userDir).lacking, []);
    assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
      ...others,
      mine: { password: 'x' },
      [provider]: shipped,
    });

    writeFileSync(path, JSON.stringify({ $: 'encrypted' }));
    edit(join(root, 'flows', 'payment.json'), '"Take it"', '"Take this"');
    assert.ok(updateFlows(root, userDir).lacking.includes('meter-payments'));
    assert.equal(readFileSync(path, 'utf8'), JSON.stringify({ $: 'encrypted' }));
  });
});

function edit(path: string, from: string, to: string): void {
  const text = readFileSync(path, 'utf8');
  assert.ok(text.includes(from));
  writeFileSync(path, text.replace(from, to));
}
