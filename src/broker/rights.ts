import { principalOf } from './admission.js';
import type { Clients } from './clients.js';
import type { Connection } from './connection.js';
import type { Directory } from './directory.js';
import type { BrokerAccess } from './options.js';

/** So many at once when everybody is asked again; the directory bundles them further. */
const AT_ONCE = 200;
const RETRY_MS = 1_000;

/**
 * Keeps live sessions true to the registry: after a change the user is authenticated again with the password or
 * certificate that the client logged in with, and closed when that no longer holds (revoked, deleted, new password, fewer rights).
 */
export class Rights {
  private directory: Directory | null = null;
  private closed = false;

  constructor(
    private readonly clients: Clients,
    private readonly access: BrokerAccess,
  ) {}

  watch(directory: Directory): void {
    if (directory === this.directory) return;
    const before = this.directory;
    this.directory = directory;
    directory.onChanged((user) => {
      if (this.directory === directory) void this.review(user);
    });
    // Changes may have been missed between two directories.
    if (before !== null) void this.review(null);
  }

  close(): void {
    this.closed = true;
    this.directory = null;
  }

  private async review(user: string | null): Promise<void> {
    const connections = this.clients.of(user);
    for (let i = 0; i < connections.length; i += AT_ONCE) {
      await Promise.all(connections.slice(i, i + AT_ONCE).map((connection) => this.reviewOne(connection)));
    }
  }

  private async reviewOne(connection: Connection): Promise<void> {
    const before = connection.principal;
    const { directory } = this;
    if (before === null || directory === null || connection.isClosed) return;
    const { password, certificate } = connection;
    const now = await principalOf(directory, { user: before.user, password, certificate }).catch(
      () => 'unavailable' as const,
    );
    if (this.closed || connection.isClosed) return;
    if (now === 'unavailable') {
      setTimeout(() => void this.reviewOne(connection), RETRY_MS).unref();
    } else if (now === 'refused') {
      connection.close('revoked');
    } else {
      connection.principal = now;
      connection.topics.clear();
      for (const filter of connection.filters.keys()) {
        if (!this.access.maySubscribe(now, filter)) return connection.close('rights changed');
      }
    }
  }
}
