import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { bodyLimits, jsonBody, type BodyLimits } from '../src/http/body.js';
import { formBody } from '../src/http/form-body.js';
import { parseEnvironment } from '../src/operation/environment.js';
import type { Environment } from '../src/operation/environment.js';
import { logger } from '../src/operation/logging.js';
import { callbackBytesMax } from '../src/payments/callback-limit.js';
import { secretOf } from './secrets.js';

const root = resolve(__dirname, '../..');

/** Paths of the contract's API: JSON in and out, and never the editor's. */
export function isApiPath(path: string): boolean {
  return /^\/(?:api|devices|mqtt)(?:\/|$)/.test(path);
}

/** Callbacks of the payment provider are open to everybody who finds them, and small. */
function limitsOf(path: string): BodyLimits {
  const isCallback = /^\/api\/payments\/(?:stk|c2b)\//.test(path);
  return isCallback ? { ...bodyLimits, bytesMax: callbackBytesMax } : bodyLimits;
}

/**
 * Node-RED's settings. Its defaults are open (every address, no login, packages installed from the editor); these
 * follow [S-1]. /settings.js hands them on and is the place for one's own.
 */
export function settings(environment: Environment = parseEnvironment(process.env)): Record<string, unknown> {
  const production = environment.METERFLOW_PROFILE === 'production';
  return {
    uiHost: environment.HOST,
    uiPort: environment.PORT,
    httpAdminRoot: '/',
    httpNodeRoot: '/',
    httpServerOptions: { 'trust proxy': environment.TRUST_PROXY ?? false, 'x-powered-by': false },
    // Brokers that ask (/mqtt/auth) may do so in a form.
    httpNodeMiddleware: [formBody((path) => path.startsWith('/mqtt/')), jsonBody(isApiPath, limitsOf)],
    apiMaxLength: '1mb',
    ...login(environment),
    credentialSecret: secretOf(environment, 'CREDENTIAL_SECRET'),

    userDir: join(environment.DATA_DIR, 'node-red'),
    flowFile: 'flows.json',
    flowFilePretty: true,
    // This package in place, with its icons, labels and examples.
    nodesDir: [root],

    functionExternalModules: false,
    externalModules: {
      autoInstall: false,
      palette: { allowInstall: !production, allowUpload: false },
      modules: { allowInstall: false },
    },
    exportGlobalContextKeys: false,
    diagnostics: { enabled: false, ui: false },
    runtimeState: { enabled: false, ui: false },
    telemetry: { enabled: false, updateNotification: false },
    // A node may finish what it has begun, and [C-4] still holds.
    nodeCloseTimeout: 7_500,
    inboundWebSocketTimeout: 5_000,
    debugMaxLength: 1_000,

    editorTheme: {
      page: { title: 'Meterflow' },
      header: { title: 'Meterflow' },
      tours: false,
      projects: { enabled: false },
      codeEditor: { lib: 'monaco' },
    },
    logging: { pino: { level: 'trace', metrics: false, audit: false, handler: () => hostLog(nodeTypes()) } },
  };
}

function login(environment: Environment): Record<string, unknown> {
  if (environment.ADMIN_PASSWORD_HASH === undefined) return {};
  const user = {
    username: environment.ADMIN_USER,
    password: environment.ADMIN_PASSWORD_HASH,
    permissions: '*',
  };
  return { adminAuth: { type: 'credentials', users: [user] } };
}

interface HostEntry {
  readonly level: number;
  readonly msg: unknown;
  readonly type?: string;
  readonly name?: string;
  readonly id?: string;
}

const hostLevels = { 10: 'fatal', 20: 'error', 30: 'warn', 40: 'info', 50: 'debug', 60: 'trace' } as const;
const log = logger('node-red');
/** True and wanted: projects are off, and our credentials file holds references only. */
const expected = /^(?:Projects disabled|Encrypted credentials not found)/;

/** Node-RED's own log through ours. What it and other packages say of themselves is for debugging. */
function hostLog(ours: ReadonlySet<string>): (entry: HostEntry) => void {
  return ({ level, msg, type, name, id }) => {
    const spoken = hostLevels[level as keyof typeof hostLevels] ?? 'info';
    const text =
      msg instanceof Error ? msg.message : String((msg as { message?: unknown } | null)?.message ?? msg);
    const details = type === undefined ? {} : { node: `${type}:${name ?? id ?? ''}` };
    const quiet = spoken === 'info' ? !ours.has(type ?? '') : type === undefined && expected.test(text);
    log[quiet ? 'debug' : spoken](details, text.trim());
  };
}

/** The node types of this package, as Node-RED itself reads them. */
function nodeTypes(): ReadonlySet<string> {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    'node-red': { nodes: Record<string, string> };
  };
  return new Set(Object.keys(manifest['node-red'].nodes));
}
