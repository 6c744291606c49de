/** Why somebody is not known. Counted and logged ([S-2]); the caller hears the same words whatever it was. */
export type RefusalReason =
  | 'headers'
  | 'several'
  | 'scheme'
  | 'malformed'
  | 'algorithm'
  | 'signature'
  | 'signer'
  | 'claims'
  | 'early'
  | 'expired'
  | 'void'
  | 'account_unknown'
  | 'account_disabled'
  | 'key_unknown'
  | 'key_revoked'
  | 'key_expired';

/** Stays inside this room: `identify` makes UNAUTHORIZED of it. */
export class RefusedCall extends Error {
  constructor(readonly reason: RefusalReason) {
    super(reason);
    this.name = 'RefusedCall';
  }
}
