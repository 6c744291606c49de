/** What can be out of the ordinary ([H-23]). */
export const anomalyKinds = [
  /** A reading far beyond what its meter uses. */
  'consumption_outlier',
  /** A meter that used to send, and sends no more. */
  'silent_meter',
  /** A device that tries topics which are not its own, or uses very many of its own. */
  'topic_hopping',
  /** Many messages of one meter, or packets from one address, that do not have the form. */
  'malformed_burst',
  /** Many readings of one meter whose signature is missing or wrong, or whose key no longer counts. */
  'signature_burst',
  /** Many refused logins from one address. */
  'refused_logins',
] as const;

export type AnomalyKind = (typeof anomalyKinds)[number];

/** One that was noticed. Plain data. */
export interface Noticed {
  readonly kind: AnomalyKind;
  /** The meter, or the address when there is none. */
  readonly subject: string;
  readonly meter_id: string | null;
  readonly occurrences: number;
  /** A sentence for people. */
  readonly reason: string;
  /** Unix ms. */
  readonly at: number;
}

/** What the database knows of a meter that seems silent; no row for one that was removed or revoked. */
export interface LastStored {
  readonly meter_id: string;
  /** When its newest reading was stored, Unix ms. */
  readonly heard: number | null;
  /** Another instance, or this one before its restart, has said so since. */
  readonly isTold: boolean;
}

/** A row of anomalies, for people. */
export interface Anomaly {
  readonly id: number;
  readonly kind: AnomalyKind;
  readonly subject: string;
  readonly meter_id: string | null;
  readonly occurrences: number;
  readonly reason: string;
  readonly first_at: string;
  readonly last_at: string;
}
