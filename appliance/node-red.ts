import type { Server } from 'node:http';
import type { NodeRedApp } from 'node-red';
import { logger } from '../src/operation/logging.js';
import type { House } from './front.js';
import type { DeployedNode, Routes } from './routes.js';

export interface Runtime extends House {
  /** Why flows do not run; undefined while they do. */
  readonly problem: string | undefined;
  stop(): Promise<void>;
}

/** Tabs with many nodes start within a second; a hanging node must not hold the whole start for ever. */
const flowsDeadlineMs = 60_000;

interface RuntimeState {
  readonly error?: string;
  readonly types?: readonly string[];
  readonly modules?: readonly { readonly module?: string }[];
}

/**
 * Starts Node-RED inside this process on a server that others listen for. Resolves when the flows run or have said
 * why they do not: one unknown node type stops all flows, and `flows:started` never comes then.
 */
export async function startNodeRed(
  server: Server,
  settings: Record<string, unknown>,
  routes: Pick<Routes, 'check' | 'learn'>,
): Promise<Runtime> {
  // Loaded here and not at the top: it is the heaviest part, and a bad setting or a busy port is told before it.
  const { default: RED } = (await import('node-red')) as unknown as { default: NodeRedApp };
  const log = logger('node-red');
  let problem: string | undefined = 'flows are starting';
  const { httpNodeMiddleware = [] } = settings;
  // First of all, also when /settings.js brings others.
  RED.init(server, {
    ...settings,
    httpNodeMiddleware: [routes.check].concat(httpNodeMiddleware as []),
  } as never);
  for (const moment of ['flows:starting', 'flows:started'])
    RED.events.on(moment, ({ config }: { config?: { flows?: readonly DeployedNode[] } }) =>
      routes.learn(config?.flows ?? []),
    );
  const running = new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      problem = `flows did not start within ${flowsDeadlineMs / 1000} s`;
      resolve();
    }, flowsDeadlineMs);
    const settled = (found: string | undefined) => {
      problem = found;
      clearTimeout(timer);
      resolve();
    };
    RED.events.on('flows:started', () => settled(undefined));
    RED.events.on('runtime-event', (event: { id?: string; payload?: RuntimeState }) => {
      const found = event.id === 'runtime-state' ? stateProblem(event.payload) : undefined;
      if (found === undefined) return;
      log.error(found);
      settled(found);
    });
  });
  await RED.start();
  await running;
  return {
    httpAdmin: RED.httpAdmin,
    httpNode: RED.httpNode,
    get problem() {
      return problem;
    },
    stop: () => Promise.resolve(RED.stop()),
  };
}

function stateProblem(state: RuntimeState | undefined): string | undefined {
  switch (state?.error) {
    case 'missing-types':
      return `all flows are stopped: no installed package brings the node types ${(state.types ?? []).join(', ')}`;
    case 'missing-modules':
      return `all flows are stopped: modules are missing: ${(state.modules ?? []).map(({ module }) => module).join(', ')}`;
    case 'safe-mode':
      return 'flows are not started in safe mode';
    case 'credentials_load_failed':
      return 'the flow credentials cannot be decrypted: CREDENTIAL_SECRET is another than at the last start';
    default:
      return undefined;
  }
}
