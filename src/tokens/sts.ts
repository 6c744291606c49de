import { isDrnForm, luhnDigit } from '../devices/drn.js';

/**
 * What can be said of tokens and meter numbers without any key (IEC 62055-41, [T-4]). Pure: the API, the dashboard's
 * form and the simulated meters judge by the same rules.
 *
 * A token is 66 bits, printed as 20 decimal digits: a block of 64 encrypted bits, and 2 bits of class put in at the
 * positions 28 and 27, whose own two bits moved to 65 and 64. It has no check digit of its own: whether a block is
 * genuine is known to the meter alone.
 */

/** Why a text is not what it should be. */
export interface Flaw {
  /** `missing`: right as far as it goes, so a form goes on waiting. */
  readonly kind: 'missing' | 'surplus' | 'character' | 'too_large' | 'class' | 'check_digit' | 'form';
  /** Where, counted from 1; null: it is not one place. */
  readonly position: number | null;
  /** A half sentence, as of `details` in an error's answer: "the 19th digit is missing". */
  readonly message: string;
}

export type Judged<Facts> = (Facts & { readonly outcome: 'valid' }) | (Flaw & { readonly outcome: 'flawed' });

export interface Drn {
  readonly drn: string;
  /** Two digits of a DRN of 11, four of one of 13. */
  readonly manufacturer: string;
  readonly serial: string;
  /** The meter's primary account number, as on its card: 18 digits. */
  readonly pan: string;
}

export type MeterNumber = { readonly form: 'drn'; readonly drn: Drn } | { readonly form: 'meter_id' };

/** 2^66 - 1 has 20 digits as well: every larger one is no token. */
const largestToken = '73786976294838206463';
const tokenDigits = largestToken.length;

/** Issuer identification numbers: of meters whose DRN has 11 digits, and of those with 13. */
const issuerOf11 = '600727';
const issuerOf13 = '0000';
const panDigits = 18;

/** [T-4]: exactly 20 digits, below 2^66, class 0 (credit). 54158492421732529281 passes. */
export function checkToken(token: string): Judged<{ readonly token: string }> {
  const shape = flawOfCharacters(token) ?? flawOfSize(token) ?? flawOfLength(token, tokenDigits);
  if (shape !== undefined) return flawed(shape);
  const tokenClass = classOf(token);
  if (tokenClass === 0) return { outcome: 'valid', token };
  const message = `is a token of class ${tokenClass} (${classes[tokenClass]}), not a credit token (class 0)`;
  return flawed({ kind: 'class', position: null, message });
}

/** Of 20 digits that are a token: bits 28 and 27, counted from 0. */
export function classOf(token: string): 0 | 1 | 2 | 3 {
  return Number((BigInt(token) >> 27n) & 3n) as 0 | 1 | 2 | 3;
}

/** [T-4]: 11 or 13 digits are a DRN and must pass its check digit; anything else must look like a meter_id. */
export function checkMeterNumber(number: string): Judged<MeterNumber> {
  if (isDrnForm(number)) {
    const judged = checkDrn(number);
    if (judged.outcome === 'flawed') return judged;
    const { outcome, ...drn } = judged;
    return { outcome, form: 'drn', drn };
  }
  if (number === '') return flawed({ kind: 'missing', position: null, message: 'is missing' });
  const odd = /[^A-Za-z0-9_-]/u.exec(number);
  if (odd !== null) {
    const position = odd.index + 1;
    const message = `has ${nameOf(odd[0])} in the ${ordinal(position)} place: letters, digits, - and _ are allowed`;
    return flawed({ kind: 'character', position, message });
  }
  if (number.length > meterIdMax) {
    const message = `has ${number.length} characters: a meter_id has ${meterIdMax} at most`;
    return flawed({ kind: 'surplus', position: meterIdMax + 1, message });
  }
  return { outcome: 'valid', form: 'meter_id' };
}

const meterIdMax = 50;

/**
 * What somebody who typed such a number may have meant, as half a sentence; undefined: nothing. For a number that is
 * valid as a meter_id, but names no meter.
 */
export function hintOf(number: string): string | undefined {
  if (!/^\d+$/.test(number) || isDrnForm(number)) return undefined;
  if (number.length === panDigits) {
    const pan = checkPan(number);
    return pan.outcome === 'valid'
      ? `this is the number of an STS card; the meter's own number in it is ${pan.drn}`
      : `as the number of an STS card, ${pan.message}`;
  }
  if (number.length < 9 || number.length > 14) return undefined;
  const wanted = number.length < 11 ? 11 : 13;
  const flaw = flawOfLength(number, wanted);
  return flaw === undefined ? undefined : `as a DRN of ${wanted} digits, ${flaw.message}`;
}

/** A decoder reference number: 11 digits (2 of the maker, 8 of the serial, 1 check digit) or 13 (4, 8 and 1). */
export function checkDrn(drn: string): Judged<Drn> {
  const flaw =
    flawOfCharacters(drn) ?? flawOfLength(drn, drn.length <= 11 ? 11 : 13) ?? flawOfCheckDigit(drn);
  if (flaw !== undefined) return flawed(flaw);
  const makerDigits = drn.length - 9;
  return {
    outcome: 'valid',
    drn,
    manufacturer: drn.slice(0, makerDigits),
    serial: drn.slice(makerDigits, -1),
    pan: panOf(drn),
  };
}

/** The MeterPAN: issuer + DRN + a check digit over both. 600727 for a DRN of 11 digits, 0000 for one of 13. */
export function panOf(drn: string): string {
  const payload = (drn.length === 11 ? issuerOf11 : issuerOf13) + drn;
  return payload + luhnDigit(payload);
}

/** A MeterPAN as printed on an STS card: its own check digit, the issuer, and the DRN in it. */
export function checkPan(pan: string): Judged<Drn> {
  const flaw = flawOfCharacters(pan) ?? flawOfLength(pan, panDigits) ?? flawOfCheckDigit(pan);
  if (flaw !== undefined) return flawed(flaw);
  const issuer = [issuerOf11, issuerOf13].find((known) => pan.startsWith(known));
  if (issuer === undefined) {
    const message = `begins with neither ${issuerOf11} nor ${issuerOf13}, as numbers of STS meters do`;
    return flawed({ kind: 'form', position: 1, message });
  }
  const judged = checkDrn(pan.slice(issuer.length, -1));
  if (judged.outcome === 'valid' || judged.position === null) return judged;
  return { ...judged, position: judged.position + issuer.length, message: `in its DRN, ${judged.message}` };
}

/** What a form has of what was typed: people write tokens in groups. */
export function compact(typed: string): string {
  return typed.replace(/[\s-]/gu, '');
}

const classes = {
  1: 'a test or display function, for any meter',
  2: 'management of one meter: keys, power limit, tampering',
  3: 'reserved',
} as const;

function flawOfCharacters(text: string): Flaw | undefined {
  const odd = /\D/u.exec(text);
  if (odd === null) return undefined;
  const position = odd.index + 1;
  const advice = odd[0] in lookalikes ? ` instead of ${lookalikes[odd[0] as keyof typeof lookalikes]}` : '';
  const message = `has ${nameOf(odd[0])}${advice} in the ${ordinal(position)} place: only digits are allowed`;
  return { kind: 'character', position, message };
}

const lookalikes = { O: '0', o: '0', D: '0', I: '1', l: '1', i: '1', Z: '2', S: '5', B: '8' } as const;

function nameOf(character: string): string {
  if (/\s/u.test(character)) return 'a space';
  return /\p{L}/u.test(character) ? `the letter ${character}` : `"${character}"`;
}

/** Also of the beginning of a token, so that it is said at the digit that makes it too large. */
function flawOfSize(digits: string): Flaw | undefined {
  if (digits.length > tokenDigits) return undefined;
  for (let index = 0; index < digits.length; index++) {
    const [digit = '', most = ''] = [digits[index], largestToken[index]];
    if (digit < most) return undefined;
    if (digit === most) continue;
    const position = index + 1;
    const before = index === 0 ? '' : ` after ${largestToken.slice(0, index)}`;
    const message = `cannot be: the ${ordinal(position)} digit is ${most} at most${before}, as tokens go up to ${largestToken}`;
    return { kind: 'too_large', position, message };
  }
  return undefined;
}

function flawOfLength(digits: string, wanted: number): Flaw | undefined {
  if (digits.length === wanted) return undefined;
  if (digits.length > wanted) {
    const surplus = digits.length - wanted;
    const message = `has ${surplus === 1 ? 'one digit' : `${surplus} digits`} too many: ${digits.length} instead of ${wanted}`;
    return { kind: 'surplus', position: wanted + 1, message };
  }
  const position = digits.length + 1;
  const [verb, last] = position === wanted ? ['is', ''] : ['are', ` to ${ordinal(wanted)}`];
  const noun = position === wanted ? 'digit' : 'digits';
  return { kind: 'missing', position, message: `the ${ordinal(position)}${last} ${noun} ${verb} missing` };
}

function flawOfCheckDigit(digits: string): Flaw | undefined {
  const wanted = luhnDigit(digits.slice(0, -1));
  if (digits.endsWith(wanted)) return undefined;
  const message = `check digit should be ${wanted}, or another digit is wrong`;
  return { kind: 'check_digit', position: digits.length, message };
}

function ordinal(number: number): string {
  const teen = number % 100 >= 11 && number % 100 <= 13;
  return `${number}${teen ? 'th' : (['th', 'st', 'nd', 'rd'][number % 10] ?? 'th')}`;
}

function flawed(flaw: Flaw): Flaw & { readonly outcome: 'flawed' } {
  return { outcome: 'flawed', ...flaw };
}
