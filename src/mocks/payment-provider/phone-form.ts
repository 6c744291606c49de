import { createHash } from 'node:crypto';

/** How confirmations show the payer's number: newer versions of the real API do not tell it. */
export type PhoneForm = 'full' | 'masked' | 'hashed';

export const phoneForms: readonly PhoneForm[] = ['full', 'masked', 'hashed'];

/** `254712345678`, `2547*****678`, or its SHA-256. */
export function phoneIn(form: PhoneForm, phone: string): string {
  if (form === 'full') return phone;
  if (form === 'hashed') return createHash('sha256').update(phone).digest('hex');
  return `${phone.slice(0, 4)}${'*'.repeat(Math.max(0, phone.length - 7))}${phone.slice(-3)}`;
}
