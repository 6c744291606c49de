/** How the database writes and takes our identities; for JSON schemas. */
export const uuidPattern = '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';

const uuid = new RegExp(uuidPattern);

/** Asked before a query: PostgreSQL refuses other text as a fault of the statement. */
export function isUuid(text: string): boolean {
  return uuid.test(text);
}
