/**
 * One inbound MQTT message on its way to the database. Plain data, because Node-RED clones messages: the socket, the
 * acknowledgement and the deadline stay in the delivery table and are found again by `delivery`.
 */
export interface Delivery {
  /** Id in the delivery table; 0 when nothing waits for it (QoS 0). */
  readonly delivery: number;
  readonly topic: string;
  /** The topic with the device's own level replaced by `+`: `meters/+/readings`. */
  readonly pattern: string;
  readonly qos: 0 | 1 | 2;
  /** Text when the bytes are valid UTF-8, else the bytes. */
  readonly payload: string | Buffer;
  /** Unix ms. */
  readonly received_at: number;
  readonly device_id: string;
  readonly meter_id: string;
  readonly user_id: string | null;
}

/** What happened to a session. Plain data. */
export interface SessionEvent {
  /** `subscribed`: a device listens to commands from now on. */
  readonly event: 'connected' | 'disconnected' | 'refused' | 'subscribed';
  readonly kind: 'device' | 'account' | 'unknown';
  readonly client_id: string;
  readonly mqtt_user: string;
  readonly device_id: string | null;
  readonly meter_id: string | null;
  readonly address: string;
  /** Why it was refused or ended: `bad credentials`, `publish denied`, `keep alive`, `taken over`, `revoked`, … */
  readonly reason: string | null;
  /** Of `subscribed`. */
  readonly filter?: string;
  /** Unix ms. */
  readonly at: number;
}
