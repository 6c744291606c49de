import { sharedName, type FlowFile } from '../../src/operation/flow-files.js';

/** A route of the shipped flows, as its `http in` and the guard behind it say. */
export interface AccessRow {
  readonly method: string;
  /** As Express has it: `/devices/:id`. */
  readonly path: string;
  readonly who: string;
  /** '': no key comes in. */
  readonly scope: string;
  readonly captcha: boolean;
  /** Nobody is refused for the number of his requests. */
  readonly unlimited: boolean;
}

/** By path, then by method. flows:check sees to it that each has a guard. */
export function accessRows(files: readonly FlowFile[]): AccessRow[] {
  return files
    .filter(({ name }) => name !== sharedName)
    .flatMap(({ nodes }) => {
      const byId = new Map(nodes.map((node) => [node.id, node]));
      return nodes
        .filter(({ type }) => type === 'http in')
        .map((node) => {
          const guard = byId.get(node.wires?.flat()[0] ?? '');
          const rates = ['perAddress', 'perCaller', 'perDevice'].map((name) => guard?.[name]);
          return {
            method: text(node['method']).toUpperCase(),
            path: text(node['url']),
            who: text(guard?.['who']),
            scope: text(guard?.['scope']),
            captcha: guard?.['captcha'] === true,
            unlimited: rates.every((rate) => rate === 'unlimited'),
          };
        });
    })
    .sort((a, b) => a.path.localeCompare(b.path) || a.method.localeCompare(b.method));
}

const columns = ['no login', 'prosumer', 'operator', 'admin', 'key'] as const;

/** Who comes in, in the order of `columns`. */
const marks: Readonly<Record<string, readonly string[]>> = {
  anyone: ['✓', '✓', '✓', '✓', '✓'],
  user: ['–', 'his own', '✓', '✓', 'scope'],
  owner: ['–', 'his own', '✓', '✓', 'scope'],
  operator: ['–', '–', '✓', '✓', 'scope'],
  admin: ['–', '–', '–', '✓', 'scope'],
  machine: ['–', '–', '–', '✓', 'scope'],
};

/** What no flow serves, and what stands in front of it. */
const others: readonly (readonly string[])[] = [
  ['GET /healthz · /readyz', '✓', '✓', '✓', '✓', '✓', ''],
  ['GET /docs/index.html · /openapi.json', '✓', '✓', '✓', '✓', '✓', ''],
  ['GET /metrics', '–', '–', '–', '✓', '`metrics`', 'the administrator, too'],
  ['GET /ws', '–', 'his own', '✓', '✓', '`live`', 'also `?access_token=`; events of his own meters'],
  ['/dashboard', '–', '–', '✓', '✓', '–', 'HTTP Basic with e-mail and password, or the administrator'],
  ['/simulators', '–', '–', '–', '✓', '–', 'demo only'],
  ['the editor', '–', '–', '–', '–', '–', 'the administrator: `ADMIN_USER`, `ADMIN_PASSWORD_HASH`'],
];

/** As Markdown; what is between the marks of docs/access.md. */
export function accessTable(files: readonly FlowFile[]): string {
  const rows = accessRows(files).map((row) => {
    const found = marks[row.who] ?? [];
    const scope = row.scope === '' ? '–' : `\`${row.scope}\``;
    const notes = [row.captcha ? 'CAPTCHA' : '', row.unlimited ? 'no limits' : ''].filter(
      (note) => note !== '',
    );
    const cells = found.map((mark) => (mark === 'scope' ? scope : mark));
    return `${row.method} ${row.path} | ${cells.join(' | ')} | ${notes.join(', ')}`;
  });
  const lines = [...rows, ...others.map((cells) => cells.join(' | '))].map((line) => `| ${line} |`);
  return [
    `| route | ${columns.join(' | ')} | |`,
    `| ${Array.from({ length: columns.length + 2 }, () => '---').join(' | ')} |`,
    ...lines,
  ].join('\n');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
