import { deliveries, type Passing } from '../src/broker/deliveries.js';

/** A delivery, or a reading or rejection, which is a part of one. */
interface Delivered {
  readonly delivery: number;
  readonly part?: number;
}

interface Part extends Delivered {
  readonly part: number;
}

/** A store takes these on: the flow's deadline no longer runs, the acknowledgement waits for the commit ([M-13]). */
export function hold(items: readonly Delivered[]): void {
  for (const { delivery, part } of items) if (delivery !== 0) deliveries.hold(delivery, part);
}

/**
 * The store gives them back: it failed for another reason than a database that is away, refused them, or closes. The
 * flow's deadline runs again; a redeployed flow is offered them anew.
 */
export function release(items: readonly Delivered[]): void {
  for (const { delivery, part } of items) if (delivery !== 0) deliveries.release(delivery, part);
}

/** They are accepted, and committed where there is something to commit. */
export function settle(items: readonly (Delivered & Passing)[]): void {
  for (const { delivery } of items) if (delivery !== 0) deliveries.settle(delivery);
  deliveries.journal?.pass(items);
}

/** The same for readings, which are parts of a delivery. */
export function settleParts(items: readonly (Part & Passing)[]): void {
  for (const { delivery, part } of items) if (delivery !== 0) deliveries.settle(delivery, part);
  deliveries.journal?.pass(items);
}

/** They are in quarantine: acknowledged, too, and never forwarded. */
export function settleRefused(items: readonly Part[]): void {
  for (const { delivery, part } of items) if (delivery !== 0) deliveries.settle(delivery, part, 'refused');
}
