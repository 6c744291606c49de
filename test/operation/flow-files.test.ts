import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { differences, examplesFolder } from '../../scripts/flows/folders.js';
import { diagramsText } from '../../scripts/flows/diagrams.js';
import { exampleTexts } from '../../scripts/flows/examples.js';
import { problemsOf } from '../../scripts/flows/rules.js';
import {
  flowText,
  mergeFlows,
  readFlowFiles,
  shippedHashes,
  splitFlows,
  takeOver,
  type FlowFile,
  type FlowNode,
} from '../../src/operation/flow-files.js';

const shipped = readFlowFiles(resolve(__dirname, '../../flows'));

describe('flow files', () => {
  it('come back from one merged flow file as they were', () => {
    const again = splitFlows(mergeFlows(shipped), shipped);
    assert.deepEqual(texts(again), texts(shipped));
  });

  it('do not change when the editor saves the same flow in another order, off the grid', () => {
    const shuffled = mergeFlows(shipped)
      .map((node) => {
        const moved = node.x === undefined ? node : { ...node, x: node.x + 3, y: (node.y ?? 0) - 4 };
        return Object.fromEntries(Object.entries(moved).toReversed()) as unknown as FlowNode;
      })
      .toReversed();
    assert.deepEqual(texts(splitFlows(shuffled, shipped)), texts(shipped));
  });

  it('get the same ids from names, whatever ids the editor gave', () => {
    const renamed = JSON.parse(
      JSON.stringify(mergeFlows(shipped)).replaceAll(
        /"([0-9a-f]{16})"/g,
        (_, id: string) => `"${id.slice(8)}${id.slice(0, 8)}"`,
      ),
    ) as FlowNode[];
    const again = splitFlows(renamed, shipped);
    assert.deepEqual(
      again.map((file) => file.nodes.map((node) => node.id)),
      shipped.map((file) => file.nodes.map((node) => node.id)),
    );
  });

  it('keep a config node with the tab that uses it, and in the shared file when several do', () => {
    const page = (id: string, ui: string) => ({ id, type: 'ui-page', name: `Page ${id}`, ui });
    const nodes: FlowNode[] = [
      { id: 'one', type: 'tab', label: 'One' },
      { id: 'two', type: 'tab', label: 'Two' },
      { id: 'base', type: 'ui-base', name: 'Base', theme: 'theme' },
      { id: 'theme', type: 'ui-theme', name: 'Theme' },
      page('page1', 'base'),
      page('page2', 'base'),
      { id: 'a', type: 'ui-text', z: 'one', name: 'A', page: 'page1' },
      { id: 'b', type: 'ui-text', z: 'two', name: 'B', page: 'page2' },
    ];
    const names = splitFlows(nodes).map(({ name, nodes: own }) => [name, own.map((node) => node.name)]);
    assert.deepEqual(names, [
      ['shared', ['Base', 'Theme']],
      ['one', [undefined, 'Page page1', 'A']],
      ['two', [undefined, 'Page page2', 'B']],
    ]);
  });

  it('name the file of a new tab after its label and keep the file of a renamed one', () => {
    const nodes = [
      ...mergeFlows(shipped).map((node) => (node.label === 'Devices' ? renamedTab(node) : node)),
      { id: 'a'.repeat(16), type: 'tab', label: 'My Own Tab!' },
    ];
    const names = splitFlows(nodes, shipped).map((file) => file.name);
    assert.deepEqual(names, [...shipped.map((file) => file.name), 'my-own-tab']);
  });

  it('never carry credentials', () => {
    const [file] = splitFlows([
      { id: '1', type: 'meter-mqtt', name: 'Broker', credentials: { password: 'p' } },
    ]);
    assert.equal(file?.name, 'shared');
    assert.equal('credentials' in (file?.nodes[0] ?? {}), false);
  });

  it('have a fingerprint that changes with the tab, and with no other', () => {
    const before = shippedHashes(shipped);
    const after = shippedHashes(
      shipped.map((file) => edit(file, 'devices', (node) => ({ ...node, note: 'new' }))),
    );
    const changed = Object.keys(before).filter((name) => before[name] !== after[name]);
    assert.deepEqual(changed, ['devices']);
  });

  it('take the place of their earlier versions without touching tabs of the user', () => {
    const own: FlowNode[] = [
      { id: 'own', type: 'tab', label: 'Mine' },
      { id: 'own1', type: 'comment', z: 'own', name: 'kept' },
    ];
    const devices = shipped.filter((file) => file.name === 'devices');
    const tab = devices[0]?.nodes.find((node) => node.type === 'tab');
    const edited: FlowNode = { id: 'edited', type: 'comment', name: 'gone', z: tab?.id ?? '' };
    const taken = takeOver([...mergeFlows(shipped), ...own, edited], devices);
    assert.deepEqual(new Set(taken), new Set([...mergeFlows(shipped), ...own]));
  });
});

describe('the rules for shipped flows', () => {
  const types = new Map<string, number | 'any'>(
    mergeFlows(shipped).map((node) => [node.type, node.wires === undefined ? 0 : 'any']),
  );
  const cases: readonly [
    title: string,
    file: string,
    change: (node: FlowNode) => FlowNode,
    expected: RegExp,
  ][] = [
    [
      'a node without a name',
      'devices',
      (node) => onType(node, 'device-registry', { name: '' }),
      /has no name/,
    ],
    [
      'an output without a wire',
      'ingestion',
      (node) => onType(node, 'reading-store', { wires: [[], [], []] }),
      /not wired/,
    ],
    [
      'an unknown type',
      'readings',
      (node) => onType(node, 'meter-query', { type: 'no-such-node' }),
      /unknown/,
    ],
    [
      'a function node',
      'readings',
      (node) => onType(node, 'meter-query', { type: 'function' }),
      /function nodes/,
    ],
    [
      'a host of somebody',
      'shared',
      (node) => onType(node, 'meter-mqtt', { host: '10.0.0.1' }),
      /environment/,
    ],
    [
      'an http in without a guard',
      'devices',
      (node) => onType(node, 'api-guard', { type: 'switch' }),
      /no api-guard directly behind/,
    ],
    [
      'an http in with something beside its guard',
      'devices',
      (node) =>
        node.type === 'http in' ? { ...node, wires: [[...(node.wires?.[0] ?? []), node.id]] } : node,
      /no api-guard directly behind/,
    ],
    ['a missing Catch', 'devices', (node) => onType(node, 'catch', { type: 'complete' }), /0 Catch nodes/],
    ['a node outside of the screen', 'devices', (node) => onType(node, 'catch', { y: 1200 }), /outside/],
    ['a wire to the left', 'readings', (node) => onType(node, 'api-error', { x: 1500 }), /backwards/],
    [
      'a config node that is nowhere',
      'devices',
      (node) => onType(node, 'device-registry', { database: 'f'.repeat(16) }),
      /nowhere/,
    ],
    ['a file out of canonical form', 'devices', (node) => onType(node, 'catch', { x: 183 }), /canonical/],
  ];
  for (const [title, file, change, expected] of cases) {
    it(`refuse ${title}`, () => {
      const problems = problemsOf(
        shipped.map((each) => edit(each, file, change)),
        types,
      );
      assert.ok(
        problems.some((problem) => expected.test(problem)),
        problems.join('\n'),
      );
    });
  }
  it('hold for the flows as they are', () => assert.deepEqual(problemsOf(shipped, types), []));
});

describe('what is built from the flows', () => {
  it('is committed as it would be built: examples and diagrams', () => {
    assert.deepEqual(differences(examplesFolder, exampleTexts(shipped)), []);
    assert.equal(readText('flows/README.md'), diagramsText(shipped));
  });

  it('can be imported alone: an example refers to nothing outside of itself', () => {
    for (const [name, text] of exampleTexts(shipped)) {
      const nodes = JSON.parse(text) as FlowNode[];
      const own = new Set(nodes.map((node) => node.id));
      const foreign = [...text.matchAll(/"([0-9a-f]{16})"/g)]
        .map(([, id]) => id)
        .filter((id) => !own.has(id ?? ''));
      assert.deepEqual(foreign, [], name);
    }
  });

  it('needs the dashboard in its own examples only', () => {
    const needing = [...exampleTexts(shipped)]
      .filter(([, text]) => text.includes('"type": "ui-'))
      .map(([name]) => name);
    assert.deepEqual(needing, [
      'dashboard.json',
      'dashboard-devices.json',
      'dashboard-energy.json',
      'dashboard-payments.json',
      'dashboard-tokens.json',
      'dashboard-minting.json',
      'dashboard-accounts.json',
    ]);
  });
});

function texts(files: readonly FlowFile[]): Record<string, string> {
  return Object.fromEntries(files.map((file) => [file.name, flowText(file.nodes)]));
}

function edit(file: FlowFile, name: string, change: (node: FlowNode) => FlowNode): FlowFile {
  return file.name === name ? { name, nodes: file.nodes.map(change) } : file;
}

function onType(node: FlowNode, type: string, changes: Partial<FlowNode>): FlowNode {
  return node.type === type ? { ...node, ...changes } : node;
}

function readText(path: string): string {
  return readFileSync(join(__dirname, '../..', path), 'utf8');
}

function renamedTab(tab: FlowNode): FlowNode {
  return { ...tab, label: 'All devices' };
}
