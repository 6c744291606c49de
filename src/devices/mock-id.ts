/** A mock is called by this and the id of its real device ([L-3]); no real device may be called so. */
export const mockPrefix = 'mock-real-';

/** Whether it is the id, and so the meter_id, of a mock. */
export function isMockId(id: string): boolean {
  return id.startsWith(mockPrefix);
}
