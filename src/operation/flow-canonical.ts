import { createHash } from 'node:crypto';

/** A node as it stands in a flow file. */
export interface FlowNode {
  readonly id: string;
  readonly type: string;
  /** The tab it stands on; config nodes and tabs have none. */
  readonly z?: string;
  readonly name?: string;
  /** What a tab is called. */
  readonly label?: string;
  readonly info?: string;
  /** Of link nodes: the other ends. */
  readonly links?: readonly string[];
  readonly x?: number;
  readonly y?: number;
  readonly wires?: readonly (readonly string[])[];
  readonly [property: string]: unknown;
}

/** Node widths are multiples of 20, so a centre on the editor's grid is a multiple of 10. */
const gridX = 10;
const gridY = 20;

const firstKeys = ['id', 'type', 'z', 'g', 'label', 'name'];
const lastKeys = ['x', 'y', 'wires'];

/**
 * One form for one meaning, whoever saved it: ids derived from names, tabs and config nodes first, nodes in the order
 * of their wires, keys in a fixed order, positions on the grid, no credentials. Applying it twice changes nothing.
 */
export function canonicalNodes(nodes: readonly FlowNode[]): FlowNode[] {
  const ordered = wireOrder(nodes.map(tidy));
  const ids = readableIds(ordered);
  // Sorted links change their order with their ids: hence tidied again.
  const renamed = ordered.map((node) => tidy(rename(node, ids) as FlowNode));
  return [
    ...renamed.filter((node) => node.type === 'tab'),
    ...renamed
      .filter((node) => node.type !== 'tab' && node.z === undefined)
      .sort((a, b) => a.type.localeCompare(b.type) || labelOf(a).localeCompare(labelOf(b))),
    ...renamed.filter((node) => node.z !== undefined),
  ];
}

/** 16 hex digits that anybody can derive again from the tab's label, the node's type and its name. */
function flowId(...names: readonly string[]): string {
  return createHash('sha256').update(names.join('\n')).digest('hex').slice(0, 16);
}

/** Comments and groups, then from every source along its wires, port by port; sources from top to bottom. */
function wireOrder(nodes: readonly FlowNode[]): FlowNode[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const hasSource = new Set(nodes.flatMap((node) => node.wires?.flat() ?? []));
  const ordered = new Set<FlowNode>();
  const walk = (node: FlowNode | undefined): void => {
    if (node === undefined || ordered.has(node)) return;
    ordered.add(node);
    for (const id of node.wires?.flat() ?? []) walk(byId.get(id));
  };
  for (const tab of nodes) if (tab.type === 'tab') ordered.add(tab);
  const placed = nodes.filter((node) => node.type !== 'tab').sort(fromTopLeft);
  for (const node of placed) if (node.wires === undefined || node.type === 'comment') ordered.add(node);
  for (const node of placed) if (!hasSource.has(node.id)) walk(node);
  // What is left feeds itself in a circle.
  for (const node of placed) walk(node);
  return [...ordered];
}

function readableIds(nodes: readonly FlowNode[]): Map<string, string> {
  const labels = new Map(nodes.filter((node) => node.type === 'tab').map((tab) => [tab.id, labelOf(tab)]));
  const ids = new Map<string, string>();
  const taken = new Set<string>();
  for (const node of nodes) {
    const names = [node.z === undefined ? '' : (labels.get(node.z) ?? node.z), node.type, labelOf(node)];
    let id = flowId(...names);
    for (let copy = 2; taken.has(id); copy += 1) id = flowId(...names, String(copy));
    taken.add(id);
    ids.set(node.id, id);
  }
  return ids;
}

/** Replaces ids wherever they stand as a whole value; 16 hex digits are nothing else. */
function rename(value: unknown, ids: ReadonlyMap<string, string>): unknown {
  if (typeof value === 'string') return ids.get(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => rename(item, ids));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rename(item, ids)]));
}

function tidy(node: FlowNode): FlowNode {
  const entries = Object.entries(node)
    .filter(([key, value]) => key !== 'credentials' && !(key === 'z' && value === ''))
    .map(([key, value]): [string, unknown] => [
      key,
      key === 'links' ? [...(value as string[])].sort() : onGrid(key, value),
    ])
    .sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b, 'en'));
  return Object.fromEntries(entries) as unknown as FlowNode;
}

function place(key: string): number {
  if (firstKeys.includes(key)) return firstKeys.indexOf(key);
  return lastKeys.includes(key) ? 200 + lastKeys.indexOf(key) : 100;
}

function onGrid(key: string, value: unknown): unknown {
  if (typeof value !== 'number' || (key !== 'x' && key !== 'y')) return value;
  const grid = key === 'x' ? gridX : gridY;
  return Math.round(value / grid) * grid;
}

function labelOf(node: FlowNode): string {
  return (node.type === 'tab' ? node.label : node.name) ?? '';
}

function fromTopLeft(a: FlowNode, b: FlowNode): number {
  return (a.y ?? 0) - (b.y ?? 0) || (a.x ?? 0) - (b.x ?? 0);
}
