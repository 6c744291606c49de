import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from '../../support/eventually.js';
import { freePort } from '../../support/ports.js';
import type { Appliance } from '../../support/appliance.js';

/** Where a tab takes events in and gives them out. */
export interface Tab {
  readonly feedPort: number;
  readonly path: string;
}

type Node = Readonly<Record<string, unknown>>;

/** Lines of TCP to the shipped gateway. */
export async function addOurTab({ url }: Appliance): Promise<Tab> {
  const flows = (await (await fetch(`${url}/flows`)).json()) as { id: string; type: string }[];
  const gateway = flows.find(({ type }) => type === 'live-gateway')?.id;
  const feedPort = await freePort();
  await add(url, 'bench-ours', [
    tcpIn('bench-ours-in', feedPort, 'bench-ours-json'),
    {
      id: 'bench-ours-json',
      type: 'json',
      property: 'payload',
      action: 'obj',
      pretty: false,
      wires: [['bench-ours-live']],
    },
    { id: 'bench-ours-live', type: 'live-events', gateway, events: '', meters: '', wires: [[], []] },
  ]);
  await accepts(feedPort);
  return { feedPort, path: '/ws' };
}

/** Lines of TCP to Node-RED's own WebSocket node, as they are. */
export async function addStockTab({ url }: Appliance): Promise<Tab> {
  const feedPort = await freePort();
  const listener = {
    id: 'bench-stock-listener',
    type: 'websocket-listener',
    path: '/stock',
    wholemsg: 'false',
  };
  await add(
    url,
    'bench-stock',
    [
      tcpIn('bench-stock-in', feedPort, 'bench-stock-out'),
      { id: 'bench-stock-out', type: 'websocket out', server: 'bench-stock-listener', client: '', wires: [] },
    ],
    [listener],
  );
  await accepts(feedPort);
  return { feedPort, path: '/stock' };
}

function tcpIn(id: string, port: number, to: string): Node {
  return {
    id,
    type: 'tcp in',
    server: 'server',
    host: '',
    port: String(port),
    datamode: 'stream',
    datatype: 'utf8',
    newline: '\\n',
    topic: '',
    trim: false,
    base64: false,
    tls: '',
    wires: [[to]],
  };
}

async function add(
  url: string,
  id: string,
  nodes: readonly Node[],
  configs: readonly Node[] = [],
): Promise<void> {
  const placed = nodes.map((node, index) => ({ name: '', x: 100 + index * 200, y: 100, z: id, ...node }));
  const answer = await fetch(`${url}/flow`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id, label: id, nodes: placed, configs }),
  });
  if (!answer.ok) throw new Error(`POST /flow answered ${answer.status}: ${await answer.text()}`);
}

/** Its nodes start after the answer. */
function accepts(port: number): Promise<true> {
  return eventually(async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.destroy();
    return true as const;
  });
}
