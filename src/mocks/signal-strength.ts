import { drawn } from './seeded.js';

/** dBm of the meter's WiFi: a place of its own between −50 and −80, and a flutter of ±3 that changes every minute. */
export function rssiAt(seed: number, meterId: string, time: number): number {
  const place = -50 - 30 * drawn(seed, meterId, 'rssi');
  const flutter = 6 * (drawn(seed, meterId, `rssi ${Math.floor(time / 60_000)}`) - 0.5);
  return Math.round(place + flutter);
}
