import type { AppliedReport } from '../balances/report.js';
import { statusOf } from '../balances/meter-messages.js';
import type { Delivery, SessionEvent } from '../broker/delivery.js';
import { isMockId } from '../devices/mock-id.js';
import type { Payment } from '../payments/payment.js';
import type { Reading } from '../readings/reading.js';
import { isMeterId, type LiveEvent } from './event.js';
import type { BalanceReason, ConnectionStatus, DataOf, SaidStatus } from './event-data.js';

/** Readings after their commit. */
export function readingsStored(readings: readonly Reading[]): LiveEvent[] {
  return readings.map(({ meter_id, user_id, energy, time, source }) => ({
    event: 'MeterReadingSubmitted',
    data: {
      meter_id,
      user_id,
      kwh_amount: energy / 10_000,
      timestamp: new Date(time).toISOString(),
      source,
    } satisfies DataOf['MeterReadingSubmitted'],
  }));
}

/** Consumption that the ledger has deducted. */
export function consumptionApplied(reports: readonly AppliedReport[]): LiveEvent[] {
  return reports.map(({ meter_id, units, balance, low, received_at }) => ({
    event: 'BalanceChanged',
    data: {
      meter_id,
      balance: balance / 10_000,
      updated_at: new Date(received_at).toISOString(),
      reason: 'consumption',
      units: -units / 10_000,
      low,
    } satisfies DataOf['BalanceChanged'],
  }));
}

/**
 * Money that has come: for a meter, or into suspense, where `meter_id` is null. Never a phone number: not everybody who
 * may see a payment may see who paid.
 */
export function paymentReceived(payment: Payment): LiveEvent[] {
  const { outcome, receipt, amount, currency, channel, meter_id, units, balance, received_at } = payment;
  if (outcome !== 'accepted' && outcome !== 'suspense') return [];
  const received: LiveEvent = {
    event: 'PaymentReceived',
    data: {
      receipt,
      amount,
      currency,
      meter_id,
      status: outcome,
      channel,
      units,
      paid_at: payment.paid_at,
      received_at,
    } satisfies DataOf['PaymentReceived'],
  };
  if (meter_id === null || balance === null) return [received];
  return [received, balanceChanged({ meter_id, balance, units, reason: 'payment', updated_at: received_at })];
}

export interface Movement {
  readonly meter_id: string;
  /** Of the meter after it, units. */
  readonly balance: number;
  /** What it gained; negative: lost. */
  readonly units: number | null;
  readonly reason: Exclude<BalanceReason, 'consumption'>;
  readonly updated_at: string;
}

export function balanceChanged({ meter_id, balance, updated_at, reason, units }: Movement): LiveEvent {
  const data = { meter_id, balance, updated_at, reason, units } satisfies DataOf['BalanceChanged'];
  return { event: 'BalanceChanged', data };
}

/** What meters say of themselves ([M-3]), of messages that are kept. */
export function statusesSaid(deliveries: readonly Delivery[]): LiveEvent[] {
  return deliveries.flatMap((delivery) => {
    if (delivery.pattern !== 'smartmeter/+/status') return [];
    const report = statusOf(delivery);
    if (report === null) return [];
    const { meter_id, status, received_at } = report;
    const data = {
      meter_id,
      ...status,
      at: new Date(received_at).toISOString(),
    } satisfies SaidStatus;
    return [{ event: 'DeviceStatus', data }];
  });
}

/** Devices that came or went; mocks are no news. Their addresses are nobody else's business. */
export function sessionsRecorded(sessions: readonly SessionEvent[]): LiveEvent[] {
  return sessions.flatMap(({ event, kind, meter_id, device_id, reason, at }) => {
    const isNews = event === 'connected' || event === 'disconnected';
    if (!isNews || kind !== 'device' || !isMeterId(meter_id)) return [];
    if (isMockId(meter_id)) return [];
    const data = {
      meter_id,
      device_id,
      status: event,
      message: reason,
      at: new Date(at).toISOString(),
    } satisfies ConnectionStatus;
    return [{ event: 'DeviceStatus', data }];
  });
}
