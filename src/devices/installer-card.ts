import { createSecretKey } from 'node:crypto';
import { isLoopback, type DeviceAddress } from '../mqtt/device-address.js';
import { canonicalString, hmacSignature } from '../readings/signature.js';
import type { CardRequest } from './card-request.js';
import { qrCode } from './qr-code.js';

/** A line for a shell, and what it does. */
export interface CardLine {
  readonly name: 'telemetry' | 'reading' | 'commands';
  readonly text: string;
}

/** Everything that somebody in front of a new device needs. */
export interface InstallerCard {
  /** As `mqtt://192.0.2.7:1883`. */
  readonly url: string;
  /** Whether the address means this machine only. */
  readonly local: boolean;
  /** PEM, to be given to the device; null: the public authorities will do, or it is not encrypted. */
  readonly ca: string | null;
  readonly topics: { readonly up: readonly string[]; readonly down: readonly string[] };
  readonly lines: readonly CardLine[];
  /** JSON; docs/protocol.md, *Installer cards*. */
  readonly code: string;
  /** The same as an SVG. */
  readonly qr: string;
}

/** How the broker and the validator are set: what a line must show for itself. */
export type CardAuth = 'none' | 'hmac' | 'ed25519' | 'mtls';

/** @param now Unix ms: the lines carry it, so that a line which is run again is the same message again */
export function installerCard(
  request: CardRequest,
  address: DeviceAddress,
  auth: CardAuth,
  now: number,
): InstallerCard {
  const { scheme, host, port } = address;
  const url = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const topics = topicsOf(request);
  const code = JSON.stringify(codeOf(request, url, topics));
  return {
    url,
    local: isLoopback(host),
    ca: address.ca,
    topics,
    lines: linesOf(request, address, auth, now),
    code,
    qr: qrCode(code),
  };
}

function topicsOf({ id, meter_id, type }: CardRequest): InstallerCard['topics'] {
  const isMeter = type === 'meter';
  return {
    up: [...(isMeter ? [`meters/${meter_id}/readings`] : []), `devices/${id}/telemetry`],
    down: [...(isMeter ? [`smartmeter/${meter_id}/command/balance`] : []), `devices/${id}/command/#`],
  };
}

/** What the QR code holds. Without the PEM of an authority: a code would not be readable any more. */
function codeOf(request: CardRequest, url: string, topics: InstallerCard['topics']): object {
  const { id, meter_id, drn, type, mqtt_user, mqtt_password, key } = request;
  return {
    meterflow: 1,
    url,
    user: mqtt_user,
    password: mqtt_password,
    device_id: id,
    ...(meter_id === id ? {} : { meter_id }),
    ...(drn === null ? {} : { drn }),
    type,
    ...(key === null
      ? {}
      : { key: { algorithm: key.algorithm, ...(key.secret === null ? {} : { secret: key.secret }) } }),
    ...topics,
  };
}

function linesOf(request: CardRequest, address: DeviceAddress, auth: CardAuth, now: number): CardLine[] {
  const { id, meter_id, type, key } = request;
  const login = loginOf(request, address, auth);
  const publish = (topic: string, payload: object): string =>
    `mosquitto_pub ${login} -q 1 -t ${quoted(topic)} -m ${quoted(JSON.stringify(payload))}`;
  const timestamp = new Date(now).toISOString();
  const telemetry = { device_id: id, timestamp, power_kw: 0, voltage_v: 0, energy_kwh: 0 };
  const lines: CardLine[] = [
    { name: 'telemetry', text: publish(`devices/${id}/telemetry`, telemetry) },
    { name: 'commands', text: `mosquitto_sub ${login} -v -t ${quoted(`devices/${id}/command/#`)}` },
  ];
  const secret = key?.secret ?? null;
  const mustSign = key !== null || auth === 'hmac' || auth === 'ed25519';
  if (type === 'meter' && (secret !== null || !mustSign)) {
    const signed = secret === null ? {} : { device_signature: signatureOf(secret, meter_id, now) };
    const reading = { kwh_amount: testEnergy / 10_000, reading_timestamp: timestamp, ...signed };
    lines.splice(1, 0, { name: 'reading', text: publish(`meters/${meter_id}/readings`, reading) });
  }
  return lines;
}

/** 0.01 kWh, in ten-thousandths: it counts, like every reading. */
const testEnergy = 100;

function signatureOf(secret: string, meterId: string, now: number): string {
  const key = createSecretKey(Buffer.from(secret, 'hex'));
  return hmacSignature(canonicalString(meterId, testEnergy, now), key);
}

function loginOf({ mqtt_user, mqtt_password }: CardRequest, address: DeviceAddress, auth: CardAuth): string {
  const { scheme, host, port, ca } = address;
  const trust = scheme === 'mqtt' ? '' : ca === null ? ' --tls-use-os-certs' : ' --cafile ca.pem';
  const shown = auth === 'mtls' ? ' --cert device.pem --key device-key.pem' : '';
  return `-h ${quoted(host)} -p ${port}${trust}${shown} -u ${quoted(mqtt_user)} -P ${quoted(mqtt_password)}`;
}

/** For sh, and for people: only what needs them gets quotes. */
function quoted(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
