/** Who is on the other end of an MQTT connection. */
export type Principal =
  | {
      readonly kind: 'device';
      readonly user: string;
      readonly device_id: string;
      readonly meter_id: string;
      readonly drn: string | null;
      readonly user_id: string | null;
      readonly mock: boolean;
    }
  | {
      readonly kind: 'account';
      readonly user: string;
      readonly may_read: readonly string[];
      readonly may_write: readonly string[];
    };

/** The registry as the broker asks it. */
export interface Directory {
  /** `unavailable` when the registry is out of reach: CONNACK 3, the device tries again. */
  authenticate(mqttUser: string, password: string): Promise<Principal | 'refused' | 'unavailable'>;
  /** True when a device other than `byPrincipal` has this id, meter_id, drn or mqtt_user ([M-12]). */
  nameTaken(clientId: string, byPrincipal: Principal): Promise<boolean>;
  /** Called with the user whose row changed, or null when any may have. */
  onChanged(listener: (mqttUser: string | null) => void): () => void;
  close(): Promise<void>;
}
