import type { Session } from '../database/database.js';

/** The caller without a token in the demo profile ([S-1]): an admin. @returns its user id */
export async function ensureDemoUser(session: Session): Promise<string> {
  const { rows } = await session.query<{ id: string }>({
    text: `insert into users (email, role) values ('demo', 'admin')
           on conflict on constraint users_email_key do update set role = excluded.role
           returning id::text`,
  });
  return rows[0]?.id ?? '';
}
