import { DomainError } from '../src/errors.js';

/** The database's address with the login of the config node's encrypted credentials, if it has one. */
export function connectionUrl(url: string, login: { user?: string; password?: string }): string {
  if (url === '') {
    throw new DomainError(
      'CONFIGURATION',
      'No database: set DATABASE_URL or write its address into the config node',
    );
  }
  if (!login.user && !login.password) return url;
  const address = new URL(url);
  if (login.user) address.username = encodeURIComponent(login.user);
  if (login.password) address.password = encodeURIComponent(login.password);
  return address.href;
}
