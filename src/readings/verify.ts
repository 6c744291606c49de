import type { Keyring, MeterKeys, VerifyingKey } from '../devices/keys/keyring.js';
import { metrics } from '../operation/metrics.js';
import { createEd25519Pool, type Ed25519Pool, type SignatureJob } from './ed25519-pool.js';
import { payloadOf } from './payload.js';
import type { Reading, Rejection } from './reading.js';
import { canonicalString, ed25519HexLength, hmacHexLength, hmacSignature, isSameHex } from './signature.js';

/** DEVICE_AUTH_METHOD: what every device's readings must carry. A device that has a key must sign in every mode. */
export const authMethods = ['none', 'hmac', 'ed25519', 'mtls'] as const;
export type AuthMethod = (typeof authMethods)[number];

/** Every reading of the call is in exactly one list. */
export interface Verdicts {
  readonly valid: Reading[];
  readonly rejected: Rejection[];
}

export interface Verification extends Verdicts {
  /** The others: their keys are read from the database first, or a thread verifies them. Null when there are none. */
  readonly later: { readonly readings: readonly Reading[]; readonly verdicts: Promise<Verdicts> } | null;
}

export interface Verifier {
  /**
   * Who signed with an HMAC key that is in memory is judged at once, and waits neither for the database nor for
   * somebody else's Ed25519. `later` rejects when the signal aborts, or with VERIFIER_BUSY.
   */
  begin(readings: readonly Reading[], wait: { readonly signal: AbortSignal }): Verification;
  /** All of them. */
  verify(readings: readonly Reading[], wait: { readonly signal: AbortSignal }): Promise<Verdicts>;
  close(): Promise<void>;
}

export interface VerifierOptions {
  readonly method?: AuthMethod;
  readonly pool?: Ed25519Pool;
  /** Unix ms. */
  readonly now?: () => number;
}

interface Refusal {
  readonly code: 'METER_UNKNOWN' | 'SIGNATURE_MISSING' | 'SIGNATURE_INVALID' | 'KEY_REVOKED' | 'KEY_EXPIRED';
  readonly reason: string;
}

/** Decided without a signature, or the keys that it is to be verified under. */
type Opening =
  | { readonly outcome: 'accepted' }
  | { readonly outcome: 'refused'; readonly refusal: Refusal }
  | { readonly outcome: 'open'; readonly keys: readonly VerifyingKey[] };

/** Verifies that readings come from whom they name, before anything is stored. */
export function createVerifier(keyring: Keyring, options: VerifierOptions = {}): Verifier {
  const { method = 'none', pool = createEd25519Pool(), now = Date.now } = options;

  /** Null: Ed25519 has to say. */
  function judge(reading: Reading, holder: MeterKeys): Refusal | 'valid' | null {
    const opening = open(reading, holder, method);
    if (opening.outcome === 'accepted') return 'valid';
    if (opening.outcome === 'refused') return opening.refusal;
    const { signature = null } = reading;
    if (signature?.length === ed25519HexLength) return null;
    return sealed(hmacKeyOf(reading, signature ?? '', opening.keys), opening.keys);
  }

  /** What a matching key, or none, means. */
  function sealed(key: VerifyingKey | undefined, keys: readonly VerifyingKey[]): Refusal | 'valid' {
    if (key === undefined) return countedInvalid(wrongSignature(keys));
    const at = now();
    if (key.revoked) return countedInvalid({ code: 'KEY_REVOKED', reason: `The key ${key.id} was revoked.` });
    if (key.expires <= at) {
      const reason = `The key ${key.id} expired at ${new Date(key.expires).toISOString()}.`;
      return countedInvalid({ code: 'KEY_EXPIRED', reason });
    }
    if (method === 'ed25519' && key.algorithm !== 'ed25519') {
      return countedInvalid({ code: 'SIGNATURE_INVALID', reason: 'Ed25519 is demanded here, not HMAC.' });
    }
    keyring.used(key.id, at);
    counted.valid++;
    return 'valid';
  }

  /** Whoever has just got another key may sign with it before the news is here: its keys are read once more. */
  function isDoubtful(
    { meter_id }: Reading,
    verdict: Refusal | 'valid',
    holder: MeterKeys | undefined,
  ): boolean {
    if (verdict === 'valid' || verdict.code !== 'SIGNATURE_INVALID' || !keyring.doubt(meter_id)) return false;
    // It is counted when it is judged again. Without a key nothing was verified.
    if (holder !== undefined && holder.keys.length > 0) counted.invalid--;
    return true;
  }

  // prom-client looks labels up by text: once a batch is enough.
  const counted = { valid: 0, invalid: 0 };
  function countedInvalid(refusal: Refusal): Refusal {
    counted.invalid++;
    return refusal;
  }
  function observe(begun: number): void {
    for (const result of ['valid', 'invalid'] as const) {
      if (counted[result] > 0) metrics.signatureVerifications.inc({ result }, counted[result]);
      counted[result] = 0;
    }
    metrics.deviceAuthSeconds.observe((performance.now() - begun) / 1000);
  }

  async function finish(
    readings: readonly Reading[],
    wait: { readonly signal: AbortSignal },
    begun: number,
  ): Promise<Verdicts> {
    const verdicts: Verdicts = { valid: [], rejected: [] };
    const holders = await keyring.load(
      readings.map(({ meter_id }) => meter_id),
      wait,
    );
    const slow: { reading: Reading; keys: readonly VerifyingKey[] }[] = [];
    const doubted: Reading[] = [];
    for (const reading of readings) {
      const holder = holders.get(reading.meter_id);
      if (holder === undefined) throw new Error(`the keys of ${reading.meter_id} were not loaded`);
      const verdict = judge(reading, holder);
      if (verdict === null) slow.push({ reading, keys: holder.keys.filter(isEd25519) });
      else if (isDoubtful(reading, verdict, holder)) doubted.push(reading);
      else sort(owned(reading, holder), verdict, verdicts);
    }
    const right = await pool.verify(slow.flatMap(jobsOf), wait);
    let at = 0;
    for (const { reading, keys } of slow) {
      const found = keys.find((_, index) => right[at + index] === true);
      at += keys.length;
      const holder = holders.get(reading.meter_id);
      const verdict = sealed(found, holder?.keys ?? []);
      if (isDoubtful(reading, verdict, holder)) doubted.push(reading);
      else sort(owned(reading, holder), verdict, verdicts);
    }
    observe(begun);
    return doubted.length === 0 ? verdicts : both(verdicts, await finish(doubted, wait, begun));
  }

  function begin(readings: readonly Reading[], wait: { readonly signal: AbortSignal }): Verification {
    const begun = performance.now();
    const verdicts: Verdicts = { valid: [], rejected: [] };
    const later: Reading[] = [];
    for (const reading of readings) {
      const holder = keyring.get(reading.meter_id);
      const verdict = holder === undefined ? null : judge(reading, holder);
      if (verdict === null || isDoubtful(reading, verdict, holder)) later.push(reading);
      else sort(owned(reading, holder), verdict, verdicts);
    }
    observe(begun);
    if (later.length === 0) return { ...verdicts, later: null };
    return { ...verdicts, later: { readings: later, verdicts: finish(later, wait, begun) } };
  }

  return {
    begin,
    async verify(readings, wait) {
      const { valid, rejected, later } = begin(readings, wait);
      return both({ valid, rejected }, await later?.verdicts);
    },
    close: () => pool.close(),
  };
}

function both(some: Verdicts, others: Verdicts | undefined): Verdicts {
  if (others === undefined) return some;
  return { valid: [...some.valid, ...others.valid], rejected: [...some.rejected, ...others.rejected] };
}

function open(reading: Reading, holder: MeterKeys, method: AuthMethod): Opening {
  const { meter_id, source, signature = null } = reading;
  if (!holder.known) return refused('METER_UNKNOWN', `There is no meter ${meter_id} in the registry.`);
  if (holder.revoked) return refused('KEY_REVOKED', `The device ${meter_id} was revoked.`);
  // With mtls the certificate of the connection stands for a signature; over HTTP there is none.
  const mayBeUnsigned = method === 'none' || (method === 'mtls' && source === 'mqtt');
  const { keys } = holder;
  if (keys.length === 0) {
    if (mayBeUnsigned) return { outcome: 'accepted' };
    const reason = `The meter ${meter_id} has no key registered, and every reading must be signed.`;
    return refused(signature === null ? 'SIGNATURE_MISSING' : 'SIGNATURE_INVALID', reason);
  }
  if (signature !== null && signature !== '') return { outcome: 'open', keys };
  return refused(
    'SIGNATURE_MISSING',
    `The meter ${meter_id} has a key, and the reading has no device_signature.`,
  );
}

function refused(code: Refusal['code'], reason: string): Opening {
  return { outcome: 'refused', refusal: { code, reason } };
}

function hmacKeyOf(
  reading: Reading,
  signature: string,
  keys: readonly VerifyingKey[],
): VerifyingKey | undefined {
  if (signature.length !== hmacHexLength) return undefined;
  const message = canonicalString(reading.meter_id, reading.energy, reading.time);
  return keys.find(
    (key) =>
      key.algorithm === 'hmac-sha256' &&
      key.secret !== null &&
      isSameHex(signature, hmacSignature(message, key.secret)),
  );
}

function wrongSignature(keys: readonly VerifyingKey[]): Refusal {
  const unreadable = keys.some((key) => key.algorithm === 'hmac-sha256' && key.secret === null);
  const reason = unreadable
    ? 'A key of the meter was encrypted under another MASTER_KEY: give that back, then replay.'
    : 'The signature is not right for this meter, energy and time under any key of the meter.';
  return { code: 'SIGNATURE_INVALID', reason };
}

function isEd25519(key: VerifyingKey): key is VerifyingKey & { readonly algorithm: 'ed25519' } {
  return key.algorithm === 'ed25519';
}

function jobsOf({
  reading,
  keys,
}: {
  readonly reading: Reading;
  readonly keys: readonly VerifyingKey[];
}): SignatureJob[] {
  const message = canonicalString(reading.meter_id, reading.energy, reading.time);
  const signature = reading.signature ?? '';
  return keys.filter(isEd25519).map(({ publicKey }) => ({ publicKey, message, signature }));
}

/** The broker knows whose a reading is; one that came over HTTP hears it here. */
function owned(reading: Reading, holder: MeterKeys | undefined): Reading {
  if (reading.source === 'mqtt' || holder === undefined) return reading;
  return { ...reading, device_id: holder.device_id, user_id: holder.user_id };
}

function sort(reading: Reading, verdict: Refusal | 'valid', { valid, rejected }: Verdicts): void {
  if (verdict === 'valid') {
    valid.push(reading);
    return;
  }
  metrics.readingErrors.inc({ error_type: verdict.code });
  const { delivery, part, device_id, meter_id, topic, qos, received_at } = reading;
  const { code, reason } = verdict;
  const payload = payloadOf(reading);
  rejected.push({ delivery, part, device_id, meter_id, topic, qos, code, reason, payload, received_at });
}
