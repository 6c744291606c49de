import type { Session } from '../database/database.js';

/**
 * Claims or extends the right to play the mocks. `succeeds`: takes it over from an earlier run of the same instance,
 * which was killed; holders are written `instance uuid`.
 * @returns who has it: `holder`, or another one
 */
export async function claimWorld(
  session: Session,
  holder: string,
  forMs: number,
  succeeds: boolean,
): Promise<string> {
  const { rows } = await session.query<{ held_by: string }>({
    name: 'mock-world-claim',
    text: `insert into mock_world (held_by, held_until) values ($1, now() + $2::float8 * interval '1 millisecond')
           on conflict (only_one) do update set held_by = excluded.held_by, held_until = excluded.held_until
             where mock_world.held_by = excluded.held_by or mock_world.held_until < now()
                or ($3::boolean and left(mock_world.held_by, -36) = left(excluded.held_by, -36))
           returning held_by`,
    values: [holder, forMs, succeeds],
  });
  if (rows[0] !== undefined) return rows[0].held_by;
  const other = await session.query<{ held_by: string }>({ text: 'select held_by from mock_world' });
  return other.rows[0]?.held_by ?? 'another instance';
}

export async function releaseWorld(session: Session, holder: string): Promise<void> {
  await session.query({ text: 'delete from mock_world where held_by = $1', values: [holder] });
}
