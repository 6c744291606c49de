import type { Node, NodeAPI, NodeDef, NodeMessageInFlow } from 'node-red';
import { followDeploys, type Deploys } from './deploys.js';

/** A message as our nodes see it: whatever came in stays on it (`req`, `res`, …). */
export type Message = NodeMessageInFlow & { topic?: string; payload?: unknown } & Record<string, unknown>;

/** Messages by the name of the output they leave through. An output that is absent stays silent. */
export type Outputs<Name extends string> = Partial<Record<Name, Message>>;

export type Tone = 'ok' | 'busy' | 'warning' | 'error' | 'idle';

/** What a node gets from its host. */
export interface Host<Name extends string> {
  readonly node: Node;
  /** Aborted when the node has closed and its grace is over: every wait in the node hangs on it. */
  readonly signal: AbortSignal;
  /** Sends outside of an input. */
  emit(outputs: Outputs<Name>): void;
  /** Shown under the node, at most once per 250 ms (the last one wins). */
  status(tone: Tone, text: string): void;
  /** The live thing behind a config node, kept open until this node has closed. Throws when none is chosen. */
  readonly use: Use;
}

/** One live node. Both functions may be asynchronous; a rejection of `input` reaches Catch, never the process. */
export interface Behaviour<Name extends string> {
  input?(message: Message, emit: (outputs: Outputs<Name>) => void): Promise<void> | void;
  /** For a node that sends what must not get lost: when the flow around it is whole. */
  deploys?: Deploys;
  /** Called first on close; what `input` still has under way is awaited after it. */
  close?(removed: boolean): Promise<void> | void;
}

export interface Definition<Config extends NodeDef, Name extends string> {
  readonly type: string;
  /** In the order of the ports in the editor. */
  readonly outputs: readonly Name[];
  /** Of a node with a login of its own; they are on `host.node`. */
  readonly credentials?: Readonly<Record<string, { type: 'text' | 'password' }>>;
  start(config: Config, host: Host<Name>): Behaviour<Name>;
}

/** Inputs under way get this long to finish on close, then the signal is aborted ([C-4] leaves 10 s for all). */
const closeGraceMs = 3000;
const abortGraceMs = 1000;
const statusIntervalMs = 250;

/** Registers a node type: the one place that knows Node-RED's lifecycle. */
export function defineNode<Config extends NodeDef, Name extends string>(
  RED: NodeAPI,
  definition: Definition<Config, Name>,
): void {
  function Constructor(this: Node, config: Config): void {
    RED.nodes.createNode(this, config);
    const controller = new AbortController();
    const pending = new Set<Promise<void>>();
    const releases: (() => Promise<void>)[] = [];
    const status = statusOf(this);
    const ports = (outputs: Outputs<Name>): (Message | null)[] =>
      definition.outputs.map((name) => outputs[name] ?? null);
    let behaviour: Behaviour<Name>;
    try {
      behaviour = definition.start(config, {
        node: this,
        signal: controller.signal,
        emit: (outputs) => this.send(ports(outputs)),
        status: (tone, text) => status.show(tone, text),
        use: userOf(RED, releases),
      });
    } catch (error) {
      // A node that cannot start says so and stays in the flow; the other nodes run on.
      this.error(error instanceof Error ? error.message : String(error));
      status.show('error', error instanceof Error ? error.message : String(error));
      behaviour = {};
    }
    const unfollow = behaviour.deploys === undefined ? null : followDeploys(RED, behaviour.deploys);

    this.on('input', (message, send, done) => {
      const work = run(
        behaviour,
        message as Message,
        (outputs) => send(ports(outputs)),
        controller.signal,
        done,
      );
      pending.add(work);
      void work.finally(() => pending.delete(work));
    });

    this.on('close', (removed: boolean, closed: () => void) => {
      const finish = async (): Promise<void> => {
        unfollow?.();
        await behaviour.close?.(removed);
        await Promise.race([over(pending), deadline(closeGraceMs)]);
        controller.abort();
        await Promise.race([over(pending), deadline(abortGraceMs)]);
        status.stop();
        for (const release of releases) await release();
      };
      finish()
        .catch((error: unknown) => this.error(`close: ${String(error)}`))
        .finally(closed);
    });
  }
  RED.nodes.registerType(
    definition.type,
    Constructor,
    definition.credentials === undefined ? {} : { credentials: definition.credentials },
  );
}

async function run<Name extends string>(
  behaviour: Behaviour<Name>,
  message: Message,
  emit: (outputs: Outputs<Name>) => void,
  signal: AbortSignal,
  done: (error?: Error) => void,
): Promise<void> {
  try {
    await behaviour.input?.(message, emit);
    done();
  } catch (error) {
    // After the abort nobody is left to hear it, and what was not committed was not acknowledged either.
    if (signal.aborted) done();
    else done(error instanceof Error ? error : new Error(String(error)));
  }
}

/** A live thing that several nodes share: opened by the first, closed with the last. */
export interface Shared<Resource> {
  acquire(): Resource;
  release(): Promise<void>;
}

interface ConfigNode<Resource> extends Node {
  shared?: Shared<Resource>;
}

export interface ConfigDefinition<Config extends NodeDef, Credentials extends object, Resource> {
  readonly type: string;
  readonly credentials?: Record<keyof Credentials & string, { type: 'text' | 'password' }>;
  open(config: Config, credentials: Partial<Credentials>, node: Node, use: Use): Resource;
  close(resource: Resource): Promise<void>;
}

/** The live thing behind another config node, kept open as long as this one is. Throws when none is chosen. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
export type Use = <Resource>(configNodeId: string, whatFor: string) => Resource;

/**
 * Registers a config node. Node-RED closes config nodes and their users at the same time, so the resource counts its
 * users and closes with the last of them.
 */
export function defineConfigNode<Config extends NodeDef, Credentials extends object, Resource>(
  RED: NodeAPI,
  definition: ConfigDefinition<Config, Credentials, Resource>,
): void {
  function Constructor(
    this: ConfigNode<Resource> & { credentials?: Partial<Credentials> },
    config: Config,
  ): void {
    RED.nodes.createNode(this, config);
    const releases: (() => Promise<void>)[] = [];
    this.shared = share(
      () => definition.open(config, this.credentials ?? {}, this, userOf(RED, releases)),
      async (resource) => {
        await definition.close(resource);
        for (const release of releases.splice(0)) await release();
      },
    );
  }
  RED.nodes.registerType(
    definition.type,
    Constructor as never,
    definition.credentials ? { credentials: definition.credentials } : {},
  );
}

function share<Resource>(
  open: () => Resource,
  close: (resource: Resource) => Promise<void>,
): Shared<Resource> {
  let current: { readonly resource: Resource } | undefined;
  let users = 0;
  return {
    acquire() {
      current ??= { resource: open() };
      users += 1;
      return current.resource;
    },
    async release() {
      users -= 1;
      if (users > 0 || current === undefined) return;
      const { resource } = current;
      current = undefined;
      await close(resource);
    },
  };
}

/** `releases` gets what gives back everything that was used. */
function userOf(RED: NodeAPI, releases: (() => Promise<void>)[]): Use {
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  return <Resource>(id: string, whatFor: string) => {
    const shared = sharedOf<Resource>(RED, id);
    if (shared === undefined) throw new Error(`choose a ${whatFor} in the node's dialog`);
    // A resource that cannot be opened is not ours to release.
    const resource = shared.acquire();
    releases.push(() => shared.release());
    return resource;
  };
}

function sharedOf<Resource>(RED: NodeAPI, id: string): Shared<Resource> | undefined {
  const node = RED.nodes.getNode(id) as ConfigNode<Resource> | null;
  return node?.shared;
}

const looks = {
  ok: { fill: 'green', shape: 'dot' },
  busy: { fill: 'blue', shape: 'dot' },
  warning: { fill: 'yellow', shape: 'ring' },
  error: { fill: 'red', shape: 'ring' },
  idle: { fill: 'grey', shape: 'ring' },
} as const;

function statusOf(node: Node): { show(tone: Tone, text: string): void; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let waiting: { tone: Tone; text: string } | undefined;
  let shown = '';
  const paint = (): void => {
    timer = undefined;
    if (waiting === undefined) return;
    const { tone, text } = waiting;
    waiting = undefined;
    if (shown === tone + text) return;
    shown = tone + text;
    node.status({ ...looks[tone], text });
    timer = setTimeout(paint, statusIntervalMs);
    timer.unref();
  };
  return {
    show(tone, text) {
      waiting = { tone, text };
      if (timer === undefined) paint();
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

/** Until nothing is under way, also of what was on its way to the node when it began to close. */
async function over(pending: ReadonlySet<Promise<void>>): Promise<void> {
  while (pending.size > 0) await Promise.all(pending);
}

function deadline(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
