/**
 * Milliseconds of a clock that nobody sets: every duration and deadline of the broker counts in it, so that a server
 * clock that jumps by hours closes no session and gives up no delivery. Only `received_at` and events tell the time.
 */
export function elapsedMs(): number {
  return performance.now();
}
