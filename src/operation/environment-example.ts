import { groups } from './environment-table.js';
import type { Variable } from './environment-table.js';

/** The text of .env.example: every variable, commented out, with its meaning, what is allowed and its default. */
export function envExample(): string {
  const head = [
    '# Copy to .env and take the # away from what you change. Everything is read once, at start.',
    '# An empty value counts as not set.',
  ];
  const sections = Object.entries(groups).flatMap(([title, rows]) =>
    ['', `# --- ${title} ---`].concat(
      Object.entries(rows as Readonly<Record<string, Variable>>).flatMap(([name, variable]) =>
        entry(name, variable),
      ),
    ),
  );
  return `${[...head, ...sections].join('\n')}\n`;
}

function entry(name: string, { kind, defaults, meaning, aliases }: Variable): string[] {
  const notes = [
    `allowed: ${kind.allowed}`,
    ...(aliases.length > 0 ? [`also: ${aliases.join(', ')}`] : []),
    ...(defaults.demo === defaults.production
      ? []
      : [`in production: ${defaults.production ?? '(not set)'}`]),
  ];
  return ['', `# ${meaning}`, `#   ${notes.join('; ')}`, `#${name}=${defaults.demo ?? ''}`];
}
