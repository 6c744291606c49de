import assert from 'node:assert/strict';
import { once, type EventEmitter } from 'node:events';
import helper from 'node-red-node-test-helper';
import type { Node, NodeAPI } from 'node-red';
import { closeAllBrokers } from '../../src/broker/runtime.js';
import accountDesk from '../../nodes/account-desk.js';
import activityWindow from '../../nodes/activity-window.js';
import anomalyList from '../../nodes/anomaly-list.js';
import anomalyWatch from '../../nodes/anomaly-watch.js';
import apiError from '../../nodes/api-error.js';
import apiLogin from '../../nodes/api-login.js';
import apiGuard from '../../nodes/api-guard.js';
import balanceSync from '../../nodes/balance-sync.js';
import batchResult from '../../nodes/batch-result.js';
import batchWorker from '../../nodes/batch-worker.js';
import deviceEventList from '../../nodes/device-event-list.js';
import deviceEventPublisher from '../../nodes/device-event-publisher.js';
import deviceKeys from '../../nodes/device-keys.js';
import devicePresence from '../../nodes/device-presence.js';
import deviceRegistry from '../../nodes/device-registry.js';
import installerCard from '../../nodes/installer-card.js';
import liveEvents from '../../nodes/live-events.js';
import liveGateway from '../../nodes/live-gateway.js';
import messageQuarantine from '../../nodes/message-quarantine.js';
import messageStore from '../../nodes/message-store.js';
import meterAuthBroker from '../../nodes/meter-auth-broker.js';
import meterCallers from '../../nodes/meter-callers.js';
import meterCache from '../../nodes/meter-cache.js';
import meterDatabase from '../../nodes/meter-database.js';
import meterKeyring from '../../nodes/meter-keyring.js';
import meterInbound from '../../nodes/meter-inbound.js';
import meterMqtt from '../../nodes/meter-mqtt.js';
import meterPayments from '../../nodes/meter-payments.js';
import meterLedger from '../../nodes/meter-ledger.js';
import meterQuery from '../../nodes/meter-query.js';
import meterRedis from '../../nodes/meter-redis.js';
import mintingSimulator from '../../nodes/minting-simulator.js';
import mockDevice from '../../nodes/mock-device.js';
import mqttAuthority from '../../nodes/mqtt-authority.js';
import natsForward from '../../nodes/nats-forward.js';
import paymentIntake from '../../nodes/payment-intake.js';
import paymentPrompt from '../../nodes/payment-prompt.js';
import paymentSimulator from '../../nodes/payment-simulator.js';
import readingAnswer from '../../nodes/reading-answer.js';
import readingBatch from '../../nodes/reading-batch.js';
import quarantineDesk from '../../nodes/quarantine-desk.js';
import readingMint from '../../nodes/reading-mint.js';
import readingStore from '../../nodes/reading-store.js';
import readingValidator from '../../nodes/reading-validator.js';
import tokenCheck from '../../nodes/token-check.js';
import tokenHistory from '../../nodes/token-history.js';
import tokenInjectAwait from '../../nodes/token-inject-await.js';
import tokenVendorSimulator from '../../nodes/token-vendor-simulator.js';
import virtualMeter from '../../nodes/virtual-meter.js';

const catchNode = require('@node-red/nodes/core/common/25-catch.js') as (RED: NodeAPI) => void;

let runtimeEvents: EventEmitter | undefined;

/** A node of somebody else's that takes its time to close, so that the other nodes are gone for as long. */
function slowToClose(RED: NodeAPI): void {
  runtimeEvents = RED.events;
  RED.nodes.registerType('slow-to-close', function (this: Node, config) {
    RED.nodes.createNode(this, config);
    this.on('close', (done: () => void) => void setTimeout(done, 300));
  });
}

/** A node of somebody else's that keeps a message for a while. */
function late(RED: NodeAPI): void {
  RED.nodes.registerType('late', function (this: Node, config) {
    RED.nodes.createNode(this, config);
    this.on('input', (message, send, done) => {
      setTimeout(() => {
        send(message);
        done();
      }, 100);
    });
  });
}

const all: ((RED: NodeAPI) => void)[] = [
  slowToClose,
  late,
  catchNode,
  meterDatabase,
  meterMqtt,
  meterKeyring,
  meterAuthBroker,
  meterInbound,
  mqttAuthority,
  readingValidator,
  readingStore,
  readingAnswer,
  readingBatch,
  batchWorker,
  batchResult,
  messageStore,
  balanceSync,
  messageQuarantine,
  quarantineDesk,
  devicePresence,
  deviceRegistry,
  deviceKeys,
  installerCard,
  deviceEventPublisher,
  deviceEventList,
  meterLedger,
  meterQuery,
  meterCache,
  meterRedis,
  meterCallers,
  apiLogin,
  accountDesk,
  liveGateway,
  liveEvents,
  natsForward,
  apiError,
  apiGuard,
  anomalyList,
  anomalyWatch,
  activityWindow,
  meterPayments,
  paymentIntake,
  paymentPrompt,
  paymentSimulator,
  tokenCheck,
  tokenHistory,
  tokenInjectAwait,
  tokenVendorSimulator,
  readingMint,
  mintingSimulator,
  mockDevice,
  virtualMeter,
];

export interface FlowMessage {
  readonly topic?: string;
  readonly payload?: unknown;
  readonly statusCode?: number;
  readonly [key: string]: unknown;
}

export interface NodeStatus {
  readonly fill?: string;
  readonly text?: string;
}

type FlowNode = { readonly id: string; readonly type: string } & Record<string, unknown>;

/** A flow on the real runtime. Every node has the tab `tab`; a `helper` node keeps what reaches it. */
export interface RunningFlow {
  send(id: string, message: object): void;
  /** What reached the helper node so far. */
  received(id: string): readonly FlowMessage[];
  /** The last status of a node. */
  status(id: string): NodeStatus;
  /** Deploys it anew, all nodes. */
  redeploy(): Promise<void>;
  /** What the editor's Deploy does after settings of some nodes were changed. */
  deploy(type: 'nodes' | 'flows' | 'full', changes: Readonly<Record<string, object>>): Promise<void>;
}

helper.init(require.resolve('node-red'));

/** `credentials` of config nodes by their id, as flows_cred.json holds them. */
export async function startFlow(
  nodes: readonly FlowNode[],
  credentials: Readonly<Record<string, object>> = {},
): Promise<RunningFlow> {
  let flow: FlowNode[] = [
    { id: 'tab', type: 'tab', label: 'Test' },
    ...nodes.map((node) => (isConfig(node) ? node : { z: 'tab', x: 0, y: 0, wires: [], ...node })),
  ];
  await helper.startServer();
  await helper.load(all, flow, credentials);
  const inbox = new Map<string, FlowMessage[]>();
  const statuses = new Map<string, NodeStatus>();
  const watched = new WeakSet<Node>();
  const watch = (): void => {
    for (const { id, type } of nodes) {
      const node = helper.getNode(id);
      // The others live on after a Deploy of some.
      if (watched.has(node)) continue;
      watched.add(node);
      if (type === 'helper') node.on('input', (message) => keep(inbox, id, message as FlowMessage));
      // The status of the start is gone by the time that the flow is loaded; the next one comes within a second.
      else
        node.on(
          'call:status' as never,
          ((call: { args: [NodeStatus] }) => statuses.set(id, call.args[0])) as never,
        );
    }
  };
  watch();
  return {
    send: (id, message) => helper.getNode(id).receive(message as never),
    received: (id) => inbox.get(id) ?? [],
    status: (id) => statuses.get(id) ?? {},
    async deploy(type, changes) {
      flow = flow.map((node) => ({ ...node, ...changes[node.id] }));
      await setFlows(flow, type);
      watch();
    },
    async redeploy() {
      await setFlows(flow, 'full');
      watch();
    },
  };
}

/** The helper waits 300 ms for the start and then gives up; a busy machine may need longer. */
async function setFlows(flow: readonly FlowNode[], type: string): Promise<void> {
  assert.ok(runtimeEvents);
  const started = once(runtimeEvents, 'flows:started', { signal: AbortSignal.timeout(20_000) });
  await helper.setFlows(flow, type).catch((error: Error) => {
    if (error.message !== 'timeout waiting event') throw error;
  });
  await started;
}

export async function stopFlow(): Promise<void> {
  await helper.unload();
  await closeAllBrokers({ drainMs: 100 });
  await new Promise<void>((stopped) => helper.stopServer(() => stopped()));
}

function keep(inbox: Map<string, FlowMessage[]>, id: string, message: FlowMessage): void {
  const kept = inbox.get(id) ?? [];
  kept.push(message);
  inbox.set(id, kept);
}

const configs = new Set([
  'meter-database',
  'meter-mqtt',
  'meter-keyring',
  'meter-payments',
  'meter-redis',
  'meter-callers',
  'meter-cache',
  'live-gateway',
]);

function isConfig({ type }: FlowNode): boolean {
  return configs.has(type);
}
