import type { Injections, InjectionSettings } from '../../src/tokens/injections.js';
import { openInjectionHouse, wanted, type InjectionHouse } from './injection-house.js';

// Live bindings: a test says `house` and means the one that was opened for it.
export let house: InjectionHouse;
export let injections: Injections;

/** Each test of this suite gets a house of its own, and injections that are open in it. */
export function houseForEach(settings: Partial<InjectionSettings> = {}): void {
  beforeEach(async () => {
    house = await openInjectionHouse();
    injections = house.open(settings);
  });
  afterEach(() => house.close());
}

/** The wanted token into the wanted meter, or what is said instead. */
export function inject(more: object = {}, gone?: AbortSignal): ReturnType<Injections['inject']> {
  return injections.inject({ ...wanted, ...more }, 'tester', gone);
}
