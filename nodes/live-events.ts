import type { NodeAPI, NodeDef } from 'node-red';
import { newsOf, type News } from '../src/live/news.js';
import { wishOf } from '../src/live/selection.js';
import { defineNode, type Host, type Message } from './define-node.js';
import type { LiveResource } from './live-gateway.js';
import { textSetting } from './setting.js';

interface Config extends NodeDef {
  gateway: string;
  events: string;
  meters: string;
}

type Output = 'passed' | 'heard';

const showMs = 1_000;

/** Tells listeners what happened, after its commit, and hears what is told: here or at another instance ([L-1]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, Output>(RED, {
    type: 'live-events',
    outputs: ['passed', 'heard'],
    start(config, host) {
      const resource = host.use<LiveResource>(config.gateway, 'live gateway');
      const { live, tokens } = resource;
      const stopListening = isWired(config, 1) ? listen(config, host, resource) : undefined;
      const shown = show(host, resource);
      return {
        async input(message, emit) {
          // The same message goes on: a copy of a batch would cost more than telling it.
          emit({ passed: message });
          const { count, make, injections }: News = newsOf(message.topic, message.payload);
          live.hub.publish(count, make);
          if (injections.length === 0 || live.hub.isResting) return;
          const events = await tokens.of(injections);
          live.hub.publish(events.length, () => events);
        },
        close() {
          clearInterval(shown);
          stopListening?.();
        },
      };
    },
  });
}

/** One message for all events of a tick. */
function listen(config: Config, host: Host<Output>, { live }: LiveResource): () => void {
  const selection = wishOf({ events: listIn(config.events), meters: listIn(config.meters) });
  return live.hub.listen({
    selection,
    hear: (events) => host.emit({ heard: { topic: 'heard', payload: events } as unknown as Message }),
  });
}

function show(host: Host<Output>, { live }: LiveResource): NodeJS.Timeout {
  const paint = (): void => {
    const listeners = live.gateway.clients;
    const said = listeners === 1 ? '1 listener' : `${listeners.toLocaleString('en')} listeners`;
    const problem = live.relay?.problem ?? null;
    if (problem === null) host.status(listeners > 0 ? 'ok' : 'idle', said);
    else host.status('warning', `${said} · Redis away: ${problem}`);
  };
  paint();
  const timer = setInterval(paint, showMs);
  timer.unref();
  return timer;
}

function isWired(config: NodeDef, port: number): boolean {
  const { wires } = config as { readonly wires?: readonly (readonly string[])[] };
  return (wires?.[port]?.length ?? 0) > 0;
}

/** undefined: all. */
function listIn(field: unknown): string[] | undefined {
  const text = textSetting(field, '');
  return text === '' ? undefined : text.split(/[\s,]+/).filter((one) => one !== '');
}
