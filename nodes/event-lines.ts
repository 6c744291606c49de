import type { Node } from 'node-red';
import type { DeviceEvent } from '../src/events/device-event.js';

/** So many can be read in the log; the others are there with the level debug. */
const linesPerSecond = 20;

/** The lines that integrators look for. */
export function createEventLines(node: Node) {
  let lines = 0;
  let unsaid = 0;
  const timer = setInterval(() => {
    if (unsaid > 0) node.log(`Published ${unsaid.toLocaleString('en')} more device events in this second`);
    lines = 0;
    unsaid = 0;
  }, 1000);
  timer.unref();
  return {
    published({ event_type, device_id }: DeviceEvent): void {
      const line = `Published device event: ${event_type} for device ${device_id}`;
      lines += 1;
      if (lines <= linesPerSecond) return node.log(line);
      unsaid += 1;
      node.debug(line);
    },
    stop: () => clearInterval(timer),
  };
}
