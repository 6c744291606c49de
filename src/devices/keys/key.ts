export const algorithms = ['hmac-sha256', 'ed25519'] as const;
export type Algorithm = (typeof algorithms)[number];

/** How long a key lives; DEVICE_KEY_ROTATION_DAYS and DEVICE_KEY_GRACE_DAYS. */
export interface KeyLifetime {
  /** A key is reported as due after it. */
  readonly rotationDays: number;
  /** And refused after this many more. Also how long the old key of a rotation stays valid, unless told otherwise. */
  readonly graceDays: number;
}

export const defaultLifetime: KeyLifetime = { rotationDays: 90, graceDays: 30 };

const dayMs = 86_400_000;

/** When a key made at `created` (Unix ms) should be rotated. */
export function dueAt(created: number, { rotationDays }: KeyLifetime): number {
  return created + rotationDays * dayMs;
}

/** When a key is refused (KEY_EXPIRED): the end of its life, or of the grace that a rotation left it. Unix ms. */
export function expiresAt(created: number, graceUntil: number | null, lifetime: KeyLifetime): number {
  const end = dueAt(created, lifetime) + lifetime.graceDays * dayMs;
  return graceUntil === null ? end : Math.min(end, graceUntil);
}
