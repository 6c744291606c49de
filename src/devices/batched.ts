/**
 * Turns single look-ups into few: the keys asked within `delayMs` travel as one list, and a key that is on its way is
 * not asked again. At most `max` keys per list.
 */
export function createBatched<V>(
  load: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>,
  { delayMs, max }: { readonly delayMs: number; readonly max: number },
): (key: string) => Promise<V | undefined> {
  let open: { keys: Set<string>; answer: Promise<ReadonlyMap<string, V>> } | undefined;

  function begin(): { keys: Set<string>; answer: Promise<ReadonlyMap<string, V>> } {
    const keys = new Set<string>();
    const answer = new Promise<void>((resolve) => setTimeout(resolve, delayMs)).then(() => {
      if (open?.keys === keys) open = undefined;
      return load([...keys]);
    });
    return { keys, answer };
  }

  return async (key) => {
    if (open === undefined || open.keys.size >= max) open = begin();
    const batch = open;
    batch.keys.add(key);
    return (await batch.answer).get(key);
  };
}
