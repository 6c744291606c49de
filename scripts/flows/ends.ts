/**
 * Outputs that lead nowhere on purpose, as `tab/node` with the number of the port. Any other output without a wire is
 * a mistake. Widgets of the dashboard are ends by themselves.
 */
export const ends: Readonly<Record<string, readonly number[]>> = {
  // The tab Payment sends, and tells of it.
  'Ingestion/Deduct consumption': [4, 5],
  // The tab Ingestion takes in what meters report.
  'Payment/Tell the meter': [0, 1, 2, 3, 6],
  // Nothing has changed.
  'Payment/Take the callback': [5],
  // An integrator wires what is to follow an event.
  'Ingestion/Tell who listens': [1],
  'Live/Tell who listens': [0, 1],
  // The callback that follows tells it.
  'Payment simulator/The provider': [2],
  // Everybody hears them over MQTT; an integrator may wire them to another broker.
  'Mock sync/Tell what happens to devices': [0, 1],
  // For a dashboard or a forecast.
  'Mock sync/Play a mock of each device': [3],
  // This question cannot be refused.
  'Payment simulator/What it ever paid': [1],
  // Tokens come in over HTTP, and are answered there.
  'Token simulator/The system': [0, 1],
  // GET …/mint-requests shows who was refused; an integrator may tell somebody.
  'Minting/Have a reading minted': [3],
  // These only look.
  'Minting/List unminted readings': [2, 3],
  'Minting/Sum them up by wallet': [2, 3],
  'Minting/List mint requests': [2, 3],
  'Minting/Show one request': [2, 3],
  'Dashboard: minting/Look it up': [2, 3],
  // Both are shown over HTTP; an integrator may tell somebody.
  'Batch submission/Take a batch': [1],
  'Batch submission/Write down the result': [0],
  // This question cannot be refused.
  'Dashboard/All meters': [1],
  // The widgets get it with the next answer of the ledger.
  'Dashboard: payments/Remember who is virtual': [0],
};

export function isEnd(
  tab: string,
  node: { readonly type: string; readonly name?: string },
  port: number,
): boolean {
  const display = node.type.startsWith('ui-') && node.type !== 'ui-dropdown';
  return display || (ends[`${tab}/${node.name ?? ''}`]?.includes(port) ?? false);
}
