import { sharedName, type FlowFile, type FlowNode } from '../../src/operation/flow-files.js';

/** flows/README.md: what each tab does, drawn from the flow itself. */
export function diagramsText(files: readonly FlowFile[]): string {
  const tabs = files.filter((file) => file.name !== sharedName);
  const names = new Map(
    files.flatMap((file) => file.nodes.map((node): [string, Named] => [node.id, { file, node }])),
  );
  return [
    '# The shipped flows',
    '',
    'One file per tab; `shared.json` holds the config nodes. This page is drawn from them by `npm run flows:examples`.',
    'After an edit in the editor, `npm run flows:split -- .meterflow/node-red/flows.json` brings the tabs back into these',
    'files, and `npm run flows:check` says what is not as it should be.',
    '',
    ...tabs.flatMap((file) => section(file, names)),
  ].join('\n');
}

interface Named {
  readonly file: FlowFile;
  readonly node: FlowNode;
}

function section(file: FlowFile, names: ReadonlyMap<string, Named>): string[] {
  const tab = file.nodes.find((node) => node.type === 'tab');
  return [
    `## ${tab?.label ?? file.name}`,
    '',
    `${tab?.info ?? ''} (\`${file.name}.json\`)`,
    '',
    '```mermaid',
    'flowchart LR',
    ...file.nodes
      .filter((node) => node.z !== undefined && node.type !== 'comment')
      .flatMap((node) => lines(node, names)),
    '```',
    '',
  ];
}

function lines(node: FlowNode, names: ReadonlyMap<string, Named>): string[] {
  const key = keyOf(node.id);
  const arrows = (node.wires ?? []).flatMap((targets) =>
    [...targets].map((id) => `  ${key} --> ${keyOf(id)}`),
  );
  const links = node.type === 'link out' ? (node.links ?? []) : [];
  const beyond = links.flatMap((id) => {
    const target = names.get(id);
    const tab = target?.file.nodes.find((other) => other.type === 'tab')?.label;
    return target === undefined ? [] : [`  ${key} -.-> ${keyOf(id)}o(["${tab ?? ''}"])`];
  });
  return [`  ${key}${shape(node)}`, ...new Set(arrows), ...beyond];
}

/** Links are round, starts and answers of HTTP too; the small print is the type. */
function shape(node: FlowNode): string {
  const text = `"${node.name ?? ''}<br><small>${node.type}</small>"`;
  if (node.type.startsWith('link ')) return `(["${node.name ?? ''}"])`;
  return node.type.startsWith('http ') || node.type === 'catch' ? `([${text}])` : `[${text}]`;
}

function keyOf(id: string): string {
  return `n${id.slice(0, 6)}`;
}
