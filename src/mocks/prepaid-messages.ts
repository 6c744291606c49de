import { tenThousandths } from '../readings/rules.js';
import type { BalanceCommand } from './prepaid.js';
import type { Report } from './report-buffer.js';

/** [M-3]; amounts in ten-thousandths of a unit, as everywhere in here. */
export interface Status {
  readonly status: 'online' | 'low_balance' | 'error';
  readonly message: string;
}

export interface Topics {
  readonly consumption: string;
  readonly status: string;
  readonly balance: string;
  readonly request: string;
  readonly command: string;
}

export function topicsOf(meterNo: string): Topics {
  const own = `smartmeter/${meterNo}`;
  return {
    consumption: `${own}/consumption`,
    status: `${own}/status`,
    balance: `${own}/balance`,
    request: `${own}/balance/request`,
    command: `${own}/command/balance`,
  };
}

/** [M-2] */
export function consumptionText(meterNo: string, { units, remaining, total, timestamp }: Report): string {
  return JSON.stringify({
    meterNo,
    unitsConsumed: kwh(units),
    remainingBalance: kwh(remaining),
    totalConsumed: kwh(total),
    timestamp,
  });
}

/** [M-3] */
export function statusText(
  meterNo: string,
  { status, message }: Status,
  measured: { readonly balance: number; readonly rssi: number; readonly timestamp: number },
): string {
  const { balance, rssi, timestamp } = measured;
  return JSON.stringify({ meterNo, status, message, balance: kwh(balance), wifi_rssi: rssi, timestamp });
}

/** [M-4]: the command's own balance and timestamp, so that it is plain which one is meant. */
export function confirmationText(meterNo: string, { balance, timestamp }: BalanceCommand): string {
  return JSON.stringify({ meterNo, balance: kwh(balance), timestamp });
}

/** [M-6]. A text is the reason why it is no such command. */
export function parseBalanceCommand(text: string): BalanceCommand | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (typeof parsed !== 'object' || parsed === null) return 'it is not an object';
  const { balance, timestamp } = parsed as { balance?: unknown; timestamp?: unknown };
  if (typeof balance !== 'number') return 'balance is not a number';
  const units = tenThousandths(balance);
  if (!Number.isSafeInteger(units)) return `balance is ${balance}: at most four decimals`;
  if (!Number.isSafeInteger(timestamp)) return 'timestamp is not a whole number of milliseconds';
  return { balance: units, timestamp: Number(timestamp) };
}

/** Exact: the division is correctly rounded, so JSON shows at most four decimals. */
export function kwh(units: number): number {
  return units / 10_000;
}

/** `10.5000`, as meters log it. */
export function fourDecimals(units: number): string {
  return kwh(units).toFixed(4);
}
