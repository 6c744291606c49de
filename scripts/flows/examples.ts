import {
  flowText,
  sharedName,
  stringsOf,
  type FlowFile,
  type FlowNode,
} from '../../src/operation/flow-files.js';

/** What the Import dialog offers: every tab by itself, with the config nodes that it uses. File name → text. */
export function exampleTexts(files: readonly FlowFile[]): Map<string, string> {
  const shared = files.find((file) => file.name === sharedName)?.nodes ?? [];
  return new Map(
    files
      .filter((file) => file.name !== sharedName)
      .map((file) => [
        `${file.name}.json`,
        flowText(withOwnLinksOnly([...usedBy(file.nodes, shared), ...file.nodes])),
      ]),
  );
}

/** Those that the nodes refer to, and those that these refer to in turn. */
function usedBy(nodes: readonly FlowNode[], shared: readonly FlowNode[]): FlowNode[] {
  const used = new Set(nodes.flatMap((node) => stringsOf({ ...node, id: null })));
  const found = shared.filter((node) => used.has(node.id));
  const others = shared.filter((node) => !used.has(node.id));
  const more = found.length === 0 ? [] : usedBy(found, others);
  return shared.filter((node) => found.includes(node) || more.includes(node));
}

/** A link to a tab that is not in the example would dangle. */
function withOwnLinksOnly(nodes: readonly FlowNode[]): FlowNode[] {
  const own = new Set(nodes.map((node) => node.id));
  return nodes.map((node) => {
    return node.links === undefined ? node : { ...node, links: node.links.filter((id) => own.has(id)) };
  });
}
