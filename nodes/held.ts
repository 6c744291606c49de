import { deliveries } from '../src/broker/deliveries.js';

interface Delivered {
  readonly delivery: number;
}

interface Part extends Delivered {
  readonly part: number;
}

/** A store takes these on: the flow's deadline no longer runs, the acknowledgement waits for the commit ([M-13]). */
export function hold(items: readonly Delivered[]): void {
  const ids: number[] = [];
  for (const { delivery } of items) if (delivery !== 0) ids.push(delivery);
  if (ids.length > 0) deliveries.hold(ids);
}

/**
 * The store gives them back: it failed for another reason than a database that is away, or it closes. The flow's
 * deadline runs again; a redeployed flow is offered them anew.
 */
export function release(items: readonly Delivered[]): void {
  const ids: number[] = [];
  for (const { delivery } of items) if (delivery !== 0) ids.push(delivery);
  if (ids.length > 0) deliveries.release(ids);
}

/** Their outcome is committed. */
export function settle(items: readonly Delivered[]): void {
  for (const { delivery } of items) if (delivery !== 0) deliveries.settle(delivery);
}

/** The same for readings or rejections, which are parts of a delivery. */
export function settleParts(items: readonly Part[]): void {
  for (const { delivery, part } of items) if (delivery !== 0) deliveries.settle(delivery, part);
}
