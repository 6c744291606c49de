import type { CardRequest } from './card-request.js';
import type { InstallerCard } from './installer-card.js';

/**
 * The card as a page of its own, to be printed, sent or shown: nothing in it is loaded from anywhere, and no script runs.
 * @param now Unix ms
 */
export function installerSheet(request: CardRequest, card: InstallerCard, now: number): string {
  const { id, meter_id, name, type, location, drn, mqtt_user, mqtt_password, key } = request;
  const title = name ?? meter_id;
  const rows: [string, string | null][] = [
    ['Broker', card.url],
    ['User', mqtt_user],
    ['Password', mqtt_password],
    ['Meter id', meter_id === id ? null : meter_id],
    ['Device id', id],
    ['Number (DRN)', drn],
    ['Signs with', key?.algorithm ?? null],
    ['Signing secret', key?.secret ?? null],
    ['Publishes', card.topics.up.join('\n')],
    ['Listens', card.topics.down.join('\n')],
    ['Authority', card.ca === null ? null : 'of its own: ca.pem, handed out with this card'],
  ];
  const shown = rows.flatMap(([label, value]) =>
    value === null ? [] : [`<tr><th>${label}</th><td>${escaped(value)}</td></tr>`],
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title><style>${style}</style></head>
<body><main>
<header><h1>${escaped(title)}</h1><p>${escaped([type, location].filter(Boolean).join(' · '))}</p></header>
<section><figure>${card.qr}</figure><table>${shown.join('')}</table></section>
<footer>Whoever has this card can speak as this device. Keep it like a key, and throw it away when the device is set up.
<span>Made ${new Date(now).toISOString().slice(0, 16).replace('T', ' ')} UTC</span></footer>
</main></body></html>
`;
}

/** A card of 165 mm: two of them on an A4 sheet. */
const style = `
@page { margin: 12mm }
* { box-sizing: border-box; margin: 0 }
body { font: 12px/1.45 system-ui, sans-serif; color: #0f172a; background: #fff; padding: 16px }
main { max-width: 165mm; margin: 0 auto; border: 1px solid #94a3b8; border-radius: 10px; padding: 5mm; break-inside: avoid }
header { display: flex; align-items: baseline; justify-content: space-between; gap: 12px; border-bottom: 2px solid #0f766e;
  padding-bottom: 2mm; margin-bottom: 4mm }
h1 { font-size: 18px; overflow-wrap: anywhere }
section { display: flex; flex-wrap: wrap; gap: 5mm }
figure { flex: 0 0 56mm; margin: 0 auto }
figure svg { display: block; width: 100% }
table { flex: 1 1 70mm; border-collapse: collapse; align-self: flex-start }
th { text-align: left; font-size: 11px; font-weight: 500; color: #475569; padding: 0 3mm 1.4mm 0; vertical-align: top; white-space: nowrap }
td { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 11px; padding-bottom: 1.4mm; overflow-wrap: anywhere;
  white-space: pre-wrap }
footer { border-top: 1px solid #cbd5e1; margin-top: 3mm; padding-top: 2mm; color: #475569; font-size: 10.5px;
  display: flex; justify-content: space-between; gap: 8mm }
footer span { white-space: nowrap }
@media print { body { padding: 0 } }
`;

function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': 'amp',
    '<': 'lt',
    '>': 'gt',
    '"': 'quot',
    "'": '#39',
  };
  return text.replaceAll(/[&<>"']/g, (letter) => `&${names[letter] ?? ''};`);
}
