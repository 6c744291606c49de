/**
 * PostgreSQL array literals, written by hand: pg's own serializer, which must take any type, costs three times as much
 * and showed in the profile of the writer.
 */
export function textArray(values: readonly (string | null)[]): string {
  let literal = '{';
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (index > 0) literal += ',';
    if (value === null || value === undefined) literal += 'NULL';
    else literal += `"${special.test(value) ? value.replace(specials, '\\$&') : value}"`;
  }
  return `${literal}}`;
}

const special = /["\\]/;
const specials = /["\\]/g;

export function integerArray(values: readonly number[]): string {
  return `{${values.join(',')}}`;
}

/** bytea in hexadecimal. */
export function byteArray(values: readonly (string | Buffer)[]): string {
  const elements = values.map((value) => `"\\\\x${bytesOf(value).toString('hex')}"`);
  return `{${elements.join(',')}}`;
}

function bytesOf(value: string | Buffer): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : value;
}
