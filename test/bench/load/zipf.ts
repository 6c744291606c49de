import { drawn } from '../../../src/mocks/seeded.js';

/**
 * Draws numbers from 0 to `size` - 1, the first the most often: number n by a share of 1 / (n + 1)^s. The same seed draws
 * the same ones.
 */
export function createZipf(size: number, s: number, seed: number): () => number {
  const sums = new Float64Array(size);
  let sum = 0;
  for (let index = 0; index < size; index += 1) sums[index] = sum += (index + 1) ** -s;
  let turn = 0;
  return () => {
    const wanted = drawn(seed, 'zipf', (turn += 1)) * sum;
    let [low, high] = [0, size - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
