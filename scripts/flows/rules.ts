import {
  flowText,
  mergeFlows,
  sharedName,
  splitFlows,
  stringsOf,
  type FlowFile,
  type FlowNode,
} from '../../src/operation/flow-files.js';
import { isEnd } from './ends.js';
import { hiddenWires, type Box } from './wires.js';

/** Node-RED's editor on a screen of 1920 × 1080 shows about this much of a tab. */
const screen = { width: 1800, height: 900 };
const forbidden = new Set(['function', 'exec', 'inject']);
const simulators = new Set(['virtual-meters']);
const ofHosts = /^(host|hostname|broker|server|url|user|username|password|secret|token)$/i;

/** What is wrong with the shipped flows: one sentence each, none when all is well. */
export function problemsOf(files: readonly FlowFile[], types: ReadonlyMap<string, number | 'any'>): string[] {
  return [
    ...canonicalProblems(files),
    ...files.flatMap((file) => [
      ...file.nodes.flatMap((node) => nodeProblems(file, node, types)),
      ...referenceProblems(file, files),
      ...guardProblems(file),
      ...tabProblems(file),
    ]),
  ];
}

function canonicalProblems(files: readonly FlowFile[]): string[] {
  const nodes = mergeFlows(files);
  const twice = nodes.filter((node, index) => nodes.findIndex((other) => other.id === node.id) !== index);
  const again = new Map(splitFlows(nodes, files).map((file) => [file.name, flowText(file.nodes)]));
  return [
    ...twice.map((node) => `${at(node)}: the id ${node.id} is used twice`),
    ...files
      .filter((file) => again.get(file.name) !== flowText(file.nodes))
      .map((file) => `flows/${file.name}.json is not in canonical form: run npm run flows:split`),
  ];
}

function nodeProblems(file: FlowFile, node: FlowNode, types: ReadonlyMap<string, number | 'any'>): string[] {
  const problems: string[] = [];
  const tab = labelOfTab(file);
  const outputs = types.get(node.type);
  if (outputs === undefined) problems.push(`${at(node)}: the type "${node.type}" is unknown here`);
  if (forbidden.has(node.type) && !simulators.has(file.name)) {
    problems.push(`${at(node)}: ${node.type} nodes hide what happens; make it a node of the palette`);
  }
  if (node.type !== 'tab' && !node.name) problems.push(`${at(node)}: has no name`);
  const wires = node.wires ?? [];
  if (typeof outputs === 'number' && node.z !== undefined && wires.length !== outputs) {
    problems.push(`${at(node)}: has ${wires.length} ports in the flow, ${outputs} in the palette`);
  }
  wires.forEach((targets, port) => {
    if (targets.length === 0 && !isEnd(tab, node, port))
      problems.push(`${at(node)}: output ${port + 1} is not wired`);
  });
  for (const [key, value] of Object.entries(node)) {
    const shows = node.type === 'http in' || key === 'info' || key === 'format';
    const named = ofHosts.test(key) && node.z === undefined && typeof value === 'string' && value !== '';
    const looksLike = typeof value === 'string' && /:\/\/|localhost|\b\d+\.\d+\.\d+\.\d+\b/.test(value);
    if (!shows && (named || looksLike) && !/^\$\{[A-Z_]+\}$/.test(value)) {
      problems.push(`${at(node)}: ${key} must come from the environment, as \${NAME}`);
    }
  }
  return problems;
}

/** A tab must be importable alone: with the shared config nodes, and with links that may lead nowhere. */
function referenceProblems(file: FlowFile, files: readonly FlowFile[]): string[] {
  const own = new Set(file.nodes.map((node) => node.id));
  const shared = new Set(files.find(({ name }) => name === sharedName)?.nodes.map((node) => node.id));
  const all = new Map(mergeFlows(files).map((node) => [node.id, node]));
  return file.nodes.flatMap((node) =>
    stringsOf({ ...node, id: null })
      .filter((text) => /^[0-9a-f]{16}$/.test(text) && !own.has(text) && !shared.has(text))
      .filter((id) => !(node.type.startsWith('link ') && all.get(id)?.type.startsWith('link ')))
      .map((id) => `${at(node)}: refers to ${id}, which is ${all.has(id) ? 'in another file' : 'nowhere'}`),
  );
}

/** Default deny: nothing answers a request that no guard has judged ([S-2]). */
function guardProblems(file: FlowFile): string[] {
  const types = new Map(file.nodes.map((node) => [node.id, node.type]));
  return file.nodes
    .filter((node) => node.type === 'http in')
    .filter(({ wires = [] }) => wires.flat().some((id) => types.get(id) !== 'api-guard'))
    .map((node) => `${at(node)}: has no api-guard directly behind it`);
}

function tabProblems(file: FlowFile): string[] {
  const placed = file.nodes.filter((node) => node.z !== undefined);
  if (placed.length === 0) return [];
  const problems: string[] = [];
  const catches = placed.filter((node) => node.type === 'catch').length;
  if (catches !== 1) problems.push(`flows/${file.name}.json: has ${catches} Catch nodes instead of one`);
  const byId = new Map(placed.map((node) => [node.id, node]));
  placed.forEach((node, index) => {
    const box = boxOf(node);
    if (box.left < 0 || box.top < 0 || box.right > screen.width || box.bottom > screen.height) {
      problems.push(`${at(node)}: lies outside of ${screen.width} × ${screen.height}`);
    }
    for (const other of placed.slice(index + 1)) {
      if (overlap(box, boxOf(other))) problems.push(`${at(node)}: covers ${at(other)}`);
    }
    for (const target of (node.wires ?? []).flat().map((id) => byId.get(id))) {
      if (target !== undefined && (target.x ?? 0) <= (node.x ?? 0)) {
        problems.push(
          `${at(node)}: the wire to ${at(target)} runs backwards; a tab reads from left to right`,
        );
      }
    }
  });
  for (const { from, to, behind } of hiddenWires(placed, boxOf)) {
    problems.push(`${at(from)}: the wire to ${at(to)} runs behind ${at(behind)}`);
  }
  return problems;
}

/** About what the editor draws, with room for a wire: seven and a half pixels per letter beside icon and ports. */
function boxOf(node: FlowNode): Box {
  const bare = (node.type === 'link in' || node.type === 'link out') && node['l'] !== true;
  const width = bare ? 30 : Math.max(100, 50 + 7.5 * (node.name?.length ?? 0)) + 10;
  const height = Math.max(30, 15 * (node.wires?.length ?? 1));
  const { x = 0, y = 0 } = node;
  return { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function labelOfTab(file: FlowFile): string {
  return file.nodes.find((node) => node.type === 'tab')?.label ?? '';
}

function at(node: FlowNode): string {
  return `${node.type} "${node.name ?? node.label ?? node.id}"`;
}
