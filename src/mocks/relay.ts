/** The switch between grid and customer. */
export type Relay = 'on' | 'off';

/** [P-7]. `balance` in ten-thousandths of a unit; null: the meter does not know it and gives nothing away. */
export function relayAt(balance: number | null): Relay {
  return balance !== null && balance > 0 ? 'on' : 'off';
}
