import type { NodeAPI, NodeDef } from 'node-red';
import { createActivity, type ActivityOutcome } from '../src/readings/activity.js';
import { defineNode } from './define-node.js';
import { numberSetting } from './setting.js';

interface Config extends NodeDef {
  windowSeconds: string;
  keep: string;
  everySeconds: string;
}

/** What the outputs of this family's nodes are called, and what they count as. */
const outcomes: Readonly<Record<string, ActivityOutcome | undefined>> = {
  stored: 'stored',
  duplicate: 'duplicate',
  rejected: 'rejected',
  quarantined: 'rejected',
  messages: 'message',
  kept: 'message',
  // Consumption reports that moved a balance.
  applied: 'message',
};

/** Sums up what passes, for a dashboard: rates, totals, the last items, the last refusals. */
export default function (RED: NodeAPI): void {
  defineNode<Config, 'activity'>(RED, {
    type: 'activity-window',
    outputs: ['activity'],
    start(config, host) {
      const whole = true;
      const activity = createActivity({
        windowSeconds: numberSetting(config.windowSeconds, 60, { name: 'Window', min: 5, max: 3600, whole }),
        keep: numberSetting(config.keep, 20, { name: 'Items', min: 1, max: 200, whole }),
      });
      const everySeconds = numberSetting(config.everySeconds, 1, {
        name: 'Interval',
        min: 1,
        max: 60,
        whole,
      });
      const timer = setInterval(() => {
        const snapshot = activity.snapshot();
        host.status('ok', `${Math.round(snapshot.per_second.stored)} stored/s`);
        host.emit({ activity: { topic: 'activity', payload: snapshot } as never });
      }, everySeconds * 1000);
      timer.unref();
      host.status('idle', 'nothing yet');
      return {
        input(message) {
          const counted = outcomes[String(message.topic)];
          if (counted === undefined)
            throw new Error(`no outcome named "${String(message.topic)}" in msg.topic`);
          activity.add(counted, Array.isArray(message.payload) ? message.payload : [message.payload]);
        },
        close: () => clearInterval(timer),
      };
    },
  });
}
