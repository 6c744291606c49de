/**
 * A phone number as the provider wants it: digits only, with the country (`254712345678`). `0712345678` and `712345678`
 * are Kenyan. Null when it is none.
 */
export function phoneNumberOf(value: unknown): string | null {
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const digits = String(value).replaceAll(/[\s-]/g, '').replace(/^\+/, '');
  if (/^0?[17]\d{8}$/.test(digits)) return `254${digits.slice(-9)}`;
  return /^[1-9]\d{9,14}$/.test(digits) ? digits : null;
}

/**
 * Whether the phone that paid may be the one that was asked. Providers mask numbers (`2547*****678`, `0712***678`) or
 * hash them: only digits that can be seen are compared.
 */
export function mayBePhone(asked: string, said: string | null): boolean {
  if (said === null) return true;
  const text = said.replaceAll(/[\s-]/g, '').replace(/^\+/, '');
  if (/^\d+$/.test(text)) return phoneNumberOf(text) === asked || text === asked;
  if (!/^\d*[*xX•#.]+\d*$/.test(text)) return true; // a hash
  const prefix = /^\d*/.exec(text)?.[0] ?? '';
  const suffix = /\d*$/.exec(text)?.[0] ?? '';
  const country = prefix.startsWith('0') ? `254${prefix.slice(1)}` : prefix;
  return asked.startsWith(country) && asked.endsWith(suffix);
}
