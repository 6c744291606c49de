/** A reading that passed the rules which need no database. Plain data; one part of a delivery. */
export interface Reading {
  /** The delivery that carried it; 0 when it did not come over MQTT. */
  readonly delivery: number;
  /** Position inside the delivery's array; 0 for a single reading. */
  readonly part: number;
  readonly meter_id: string;
  readonly device_id: string | null;
  readonly user_id: string | null;
  /** Whole ten-thousandths of a kWh: 12500 is 1.25 kWh. */
  readonly energy: number;
  /** Unix ms: the end of the interval that was measured. */
  readonly time: number;
  /** As it came, not yet verified: `device_signature`, or `meter_signature` when only that is there. */
  readonly signature?: string | null;
  readonly source: 'mqtt' | 'http' | 'batch';
  /** Unix ms. */
  readonly received_at: number;
  /** The topic that it came on, '' when none; needed to quarantine it as it came. */
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  /**
   * Kept so that a refusal shows it byte for byte: the whole JSON that carried it (`part` finds the element), or its
   * own bytes of a Protobuf message.
   */
  readonly payload?: string | Buffer;
  /** The whole message, of QoS 0 in Protobuf: nobody else keeps it. */
  readonly message?: string | Buffer;
}

/** A reading, or a whole message, that is refused; what quarantine keeps. Plain data. */
export interface Rejection {
  readonly delivery: number;
  readonly part: number;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
  readonly code: string;
  /** A sentence for people, with the value and what is allowed. */
  readonly reason: string;
  /** This part as it arrived (JSON text of the array element, or the whole payload). */
  readonly payload: string | Buffer;
  /** Unix ms. */
  readonly received_at: number;
}

export function isRejection(result: Reading | Rejection): result is Rejection {
  return 'code' in result;
}
