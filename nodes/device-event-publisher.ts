import { hostname } from 'node:os';
import type { NodeAPI, NodeDef } from 'node-red';
import type { Database } from '../src/database/database.js';
import { eventTopic, type DeviceEvent } from '../src/events/device-event.js';
import { startEventRelay } from '../src/events/relay.js';
import { replayEvents, replayRequest } from '../src/events/replay.js';
import type { MqttLink } from '../src/mqtt/link.js';
import { createTurns } from '../src/payments/turns.js';
import { defineNode, type Message } from './define-node.js';
import { createEventLines } from './event-lines.js';
import { showEventFlow } from './event-flow.js';
import { outcome } from './outcome.js';
import { numberSetting, textSetting } from './setting.js';

interface Config extends NodeDef {
  database: string;
  mqtt: string;
  instance: string;
  keepDays: string;
}

/** Tells everybody on MQTT what happens to devices, from the outbox that the change itself has filled ([M-8], [L-4]). */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'published' | 'replayed'>(RED, {
    type: 'device-event-publisher',
    outputs: ['published', 'replayed'],
    start(config, host) {
      const keepDays = numberSetting(config.keepDays, 0, { name: 'Keep', min: 0, max: 36_500 });
      const database = host.use<Database>(config.database, 'database');
      const link = host.use<MqttLink>(config.mqtt, 'broker');
      const lines = createEventLines(host.node);
      const closing = new AbortController();
      const turns = createTurns();
      const flow = showEventFlow(host, database, () => relay.open);
      const relay = startEventRelay(database, link, {
        instance: textSetting(config.instance, hostname()),
        keepDays: keepDays === 0 ? undefined : keepDays,
        onPublished(published) {
          for (const { event, lagSeconds } of published) {
            flow.published(lagSeconds);
            lines.published(event);
            host.emit({ published: messageOf(event) });
          }
        },
        onState: (reason) => flow.trouble(reason),
      });
      // What leaves before the flow is whole would leave through an output that leads nowhere.
      relay.pause();

      async function replay(message: Message): Promise<number> {
        const request = replayRequest(message.payload);
        const { signal } = closing;
        // One after another, so that they stay in order and bounded.
        return turns.take(['replay'], signal, () =>
          replayEvents(database, link, request, {
            signal,
            onReplayed: (events) =>
              events.forEach((event) => host.emit({ published: { ...messageOf(event), replayed: true } })),
          }),
        );
      }

      return {
        async input(message, emit) {
          // Somebody changed a device, or the like: its event waits in the outbox.
          if (message.topic !== 'replay') return relay.wake();
          const count = await replay(message);
          host.node.log(`Published ${count.toLocaleString('en')} device events again`);
          emit({ replayed: outcome(message, 'replayed', { count }) });
        },
        deploys: { started: () => relay.resume(), stopping: () => relay.pause() },
        async close() {
          closing.abort(new Error('The replay was broken off: this node closes.'));
          flow.stop();
          lines.stop();
          await relay.close();
        },
      };
    },
  });
}

/** Ready for an *mqtt out* to another broker. */
function messageOf(event: DeviceEvent): Message {
  return { topic: eventTopic(event), payload: event, qos: 1, retain: false } as unknown as Message;
}
