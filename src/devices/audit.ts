import type { Session } from '../database/database.js';

/** Who asked for a change, and from where. */
export interface Caller {
  readonly name: string;
  readonly address?: string | null;
  /** The account that owns what this caller makes; else the one whose e-mail is `name`. */
  readonly user_id?: string | null;
}

export interface AuditEntry {
  /** `device.created`, `account.revoked`, … */
  readonly action: string;
  /** The id of what was changed. */
  readonly subject: string;
  /** Never a secret ([S-3]). */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Belongs into the transaction of the change: never one without the other. */
export async function audit(tx: Session, caller: Caller, entry: AuditEntry): Promise<void> {
  await tx.query({
    text: `insert into audit_log (actor, action, subject, address, details) values ($1, $2, $3, $4, $5::jsonb)`,
    values: [
      caller.name,
      entry.action,
      entry.subject,
      caller.address ?? null,
      JSON.stringify(entry.details ?? {}),
    ],
  });
}
