import type { Delivery } from '../broker/delivery.js';
import type { Rejection } from './reading.js';

/** What the flow left lying three times goes to quarantine, or it would come back for ever ([M-13]). */
export function unsettledRejection(delivery: Delivery): Rejection {
  const { device_id, meter_id, topic, qos, payload, received_at } = delivery;
  return {
    delivery: delivery.delivery,
    part: 0,
    device_id,
    meter_id,
    topic,
    qos,
    code: 'FLOW_UNSETTLED',
    reason: 'No store settled it within the deadline, three times: is an output of the flow left unwired?',
    payload,
    received_at,
  };
}
