import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { canonicalNodes, type FlowNode } from './flow-canonical.js';

export type { FlowNode } from './flow-canonical.js';

/** One file of flows/: a tab with its nodes, or the config nodes that tabs share (`shared`). */
export interface FlowFile {
  /** File name without `.json`. */
  readonly name: string;
  readonly nodes: readonly FlowNode[];
}

/** Holds the config nodes of this package, and those that several tabs use: every tab may use them. */
export const sharedName = 'shared';

/** Tabs stand in the editor in this order; a file that is not listed comes last. */
const order = [
  sharedName,
  'ingestion',
  'payment',
  'injection',
  'external-broker',
  'devices',
  'device-keys',
  'mock-sync',
  'nats',
  'readings',
  'quarantine',
  'submit',
  'batch',
  'anomalies',
  'live',
  'money',
  'minting',
  'accounts',
  'virtual-meters',
  'payment-simulator',
  'token-simulator',
  'minting-simulator',
  'dashboard',
  'dashboard-devices',
  'dashboard-energy',
  'dashboard-payments',
  'dashboard-tokens',
  'dashboard-minting',
  'dashboard-accounts',
];

/** Reads flows/*.json in the order of the tabs. */
export function readFlowFiles(folder: string): FlowFile[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({
      name: file.slice(0, -'.json'.length),
      nodes: JSON.parse(readFileSync(join(folder, file), 'utf8')) as FlowNode[],
    }))
    .sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
}

/** All files as the one array that Node-RED loads: tabs first, in order, then config nodes, then the rest. */
export function mergeFlows(files: readonly FlowFile[]): FlowNode[] {
  const nodes = files.flatMap((file) => file.nodes);
  return [
    ...nodes.filter((node) => node.type === 'tab'),
    ...nodes.filter((node) => node.type !== 'tab' && node.z === undefined),
    ...nodes.filter((node) => node.z !== undefined),
  ];
}

/**
 * The way back: one file per tab in canonical form, config nodes of this package and those that several tabs use in
 * `shared`, other config nodes with the tab that uses them. A tab keeps the file of `shipped` that has it, by id or by label; a new one is named
 * after its label.
 */
export function splitFlows(nodes: readonly FlowNode[], shipped: readonly FlowFile[] = []): FlowFile[] {
  const canonical = canonicalNodes(nodes);
  const tabs = canonical.filter((node) => node.type === 'tab');
  const homes = configHomes(canonical);
  // The id of a renamed tab changes with its label, so its file is looked up by the id it had in the edited flow.
  const before = new Map(nodes.filter((node) => node.type === 'tab').map((tab) => [tab.label, tab.id]));
  const files = tabs.map((tab) => ({
    name: fileNameOf(tab, before.get(tab.label), shipped),
    nodes: canonical.filter((node) => node === tab || node.z === tab.id || homes.get(node.id) === tab.id),
  }));
  const shared = canonical.filter(
    (node) => node.type !== 'tab' && node.z === undefined && !homes.has(node.id),
  );
  if (shared.length > 0) files.push({ name: sharedName, nodes: shared });
  return files.sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
}

/** What stands in the file: stable under git, one property per line, the wires of a port on one. */
export function flowText(nodes: readonly FlowNode[]): string {
  const text = JSON.stringify(nodes, null, 2).replaceAll(
    /\[\s+("[0-9a-f]{16}"(?:,\s+"[0-9a-f]{16}")*)\s+\]/g,
    (_, ids: string) => {
      return `[${ids.replaceAll(/\s+/g, ' ')}]`;
    },
  );
  return `${text}\n`;
}

/** A fingerprint of each shipped file, by its name: tells whether a tab has changed since it was taken over. */
export function shippedHashes(files: readonly FlowFile[]): Record<string, string> {
  return Object.fromEntries(
    files.map((file) => [
      file.name,
      createHash('sha256').update(flowText(file.nodes)).digest('hex').slice(0, 16),
    ]),
  );
}

/**
 * The user's flows with the given shipped files put in place of their earlier versions. Tabs of the user's own and
 * config nodes that no shipped file brings stay as they are.
 */
export function takeOver(current: readonly FlowNode[], files: readonly FlowFile[]): FlowNode[] {
  const fresh = new Map(mergeFlows(files).map((node) => [node.id, node]));
  const tabs = new Set(fresh.keys());
  const inPlace: FlowNode[] = [];
  for (const node of current) {
    const newer = fresh.get(node.id);
    if (newer === undefined && node.z !== undefined && tabs.has(node.z)) continue;
    inPlace.push(newer ?? node);
    fresh.delete(node.id);
  }
  return mergeFlows([{ name: 'all', nodes: [...inPlace, ...fresh.values()] }]);
}

/** Every whole string value of a node, also inside lists and objects: this is where ids of other nodes stand. */
export function stringsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(stringsOf);
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(stringsOf) : [];
}

/**
 * The tab in whose file a config node stands. Those of this package, and those that several tabs use, are shared and
 * not listed.
 */
function configHomes(nodes: readonly FlowNode[]): Map<string, string> {
  const configs = new Map(
    nodes
      .filter((node) => node.type !== 'tab' && node.z === undefined && !node.type.startsWith('meter-'))
      .map((node) => [node.id, node]),
  );
  const homes = new Map<string, string>();
  const shared = new Set<string>();
  const visit = (node: FlowNode, tab: string): void => {
    for (const id of stringsOf({ ...node, id: null, z: null })) {
      const config = configs.get(id);
      const home = homes.get(id);
      if (config === undefined || home === tab || shared.has(id)) continue;
      if (home === undefined) homes.set(id, tab);
      else shared.add(id);
      visit(config, tab);
    }
  };
  for (const node of nodes) if (node.z !== undefined) visit(node, node.z);
  for (const id of shared) homes.delete(id);
  return homes;
}

function fileNameOf(tab: FlowNode, idBefore: string | undefined, shipped: readonly FlowFile[]): string {
  const known = shipped.find((file) => file.nodes.some((node) => node.id === tab.id || node.id === idBefore));
  if (known !== undefined) return known.name;
  const slug = (tab.label ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  return slug === '' || slug === sharedName ? tab.id : slug;
}

function rank(name: string): number {
  const index = order.indexOf(name);
  return index === -1 ? order.length : index;
}
