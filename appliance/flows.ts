import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { flowText, mergeFlows, readFlowFiles, shippedHashes, takeOver } from '../src/operation/flow-files.js';
import type { FlowNode } from '../src/operation/flow-files.js';

export interface Installed {
  readonly outcome: 'installed' | 'kept';
  readonly tabs: number;
  /** Shipped tabs that have changed since the user's copy was taken. */
  readonly newer: readonly string[];
}

/** Credentials of shipped nodes: references only, so that no secret stands in a file ([S-3]). */
const references: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'meter-mqtt': { user: '${MQTT_USERNAME}', password: '${MQTT_PASSWORD}' },
  'meter-keyring': { masterKey: '${MASTER_KEY}' },
  'meter-redis': { password: '${REDIS_PASSWORD}' },
  'meter-callers': { jwtSecret: '${JWT_SECRET}', captchaSecret: '${CAPTCHA_SECRET}' },
  'meter-payments': {
    callbackSecret: '${PAYMENT_CALLBACK_SECRET}',
    consumerKey: '${PAYMENT_CONSUMER_KEY}',
    consumerSecret: '${PAYMENT_CONSUMER_SECRET}',
    passkey: '${PAYMENT_PASSKEY}',
  },
  'nats-forward': {
    user: '${NATS_USER}',
    password: '${NATS_PASSWORD}',
    token: '${NATS_TOKEN}',
    nkey: '${NATS_NKEY}',
  },
};

/**
 * Puts the shipped tabs into Node-RED's one flow file at the first start. After that the file is the user's: nothing
 * is touched, only told.
 */
export function installFlows(root: string, userDir: string): Installed {
  mkdirSync(userDir, { recursive: true, mode: 0o700 });
  const files = readFlowFiles(join(root, 'flows'));
  const hashes = shippedHashes(files);
  const taken = join(userDir, 'shipped-flows.json');
  const flows = join(userDir, 'flows.json');
  if (existsSync(flows)) {
    const before = hashesTaken(taken);
    const newer = Object.keys(hashes).filter((name) => before[name] !== hashes[name]);
    return { outcome: 'kept', tabs: tabsOf(nodesOf(flows)), newer };
  }
  const nodes = mergeFlows(files);
  write(join(userDir, 'flows_cred.json'), `${JSON.stringify(credentialsOf(nodes), null, 2)}\n`);
  write(taken, `${JSON.stringify(hashes, null, 2)}\n`);
  // Last: its presence says that the others are whole.
  write(flows, flowText(nodes));
  return { outcome: 'installed', tabs: tabsOf(nodes), newer: [] };
}

export interface Updated {
  /** Shipped files that were put in place of the user's copies. */
  readonly taken: readonly string[];
  /** The flow file as it was before; null when nothing was taken. */
  readonly backup: string | null;
  /** Types of config nodes whose credentials somebody must look at, in the editor. */
  readonly lacking: readonly string[];
}

/** Takes newer shipped tabs over into the user's flow file; his own tabs stay. @throws when there is no flow file yet */
export function updateFlows(root: string, userDir: string, now: Date = new Date()): Updated {
  const flows = join(userDir, 'flows.json');
  if (!existsSync(flows)) throw new Error(`No flows in ${userDir}: the first start installs them.`);
  const files = readFlowFiles(join(root, 'flows'));
  const hashes = shippedHashes(files);
  const taken = join(userDir, 'shipped-flows.json');
  const before = hashesTaken(taken);
  const newer = files.filter(({ name }) => before[name] !== hashes[name]);
  if (newer.length === 0) return { taken: [], backup: null, lacking: [] };
  const backup = `${flows}.${now.toISOString().replaceAll(/[:.]/g, '-')}.bak`;
  copyFileSync(flows, backup);
  const nodes = takeOver(nodesOf(flows), newer);
  const lacking = addCredentials(join(userDir, 'flows_cred.json'), nodes);
  write(flows, flowText(nodes));
  write(taken, `${JSON.stringify(hashes, null, 2)}\n`);
  return { taken: newer.map(({ name }) => name), backup, lacking };
}

function credentialsOf(nodes: readonly FlowNode[]): Record<string, object> {
  return Object.fromEntries(
    nodes.flatMap((node) => {
      const fields = references[node.type];
      return fields === undefined ? [] : [[node.id, fields] as const];
    }),
  );
}

/** A newer tab may bring a config node with credentials. @returns whose could not be added: Node-RED has encrypted the file */
function addCredentials(path: string, nodes: readonly FlowNode[]): string[] {
  const wanted = credentialsOf(nodes);
  const known = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, object>) : {};
  // Whom we cannot look into may have them.
  if ('$' in known) return nodes.filter(({ id }) => id in wanted).map(({ type }) => type);
  write(path, `${JSON.stringify({ ...wanted, ...known }, null, 2)}\n`);
  return [];
}

function hashesTaken(path: string): Record<string, string> {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, string>) : {};
}

function nodesOf(path: string): FlowNode[] {
  return JSON.parse(readFileSync(path, 'utf8')) as FlowNode[];
}

function tabsOf(nodes: readonly FlowNode[]): number {
  return nodes.filter((node) => node.type === 'tab').length;
}

function write(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
