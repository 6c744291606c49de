import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';

export type { Browser, Page } from 'playwright-core';

/** Screenshots of test runs; not in git. */
export const artifacts = resolve(__dirname, '../../artifacts');

const candidates = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Nothing of a first start, nothing that calls home. */
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function openBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? candidates.find((path) => existsSync(path));
  if (executablePath === undefined) throw new Error('Chromium is missing: apt-get install chromium');
  return chromium.launch({ executablePath, args: flags });
}

/** Two pixels for one: sharp in a README. */
export async function openPage(browser: Browser, width: number, height: number, scale = 1): Promise<Page> {
  const context = await browser.newContext({
    viewport: { width, height },
    deviceScaleFactor: scale,
    locale: 'en-GB',
  });
  return context.newPage();
}

export async function keepScreenshot(page: Page, name: string): Promise<string> {
  mkdirSync(artifacts, { recursive: true });
  const path = join(artifacts, `${name}.png`);
  await page.screenshot({ path });
  return path;
}

/** From now on what comes from the server reaches the dashboard's page in bunches, several messages within a tick. */
export async function bunchAnswers(page: Page): Promise<void> {
  await page.evaluate(bunch);
}

/** Runs inside the page, on the dashboard's socket. */
const bunch = `{
  const socket = document.querySelector('#app').__vue_app__._context.provides.$socket;
  const take = socket.onevent.bind(socket);
  const bunched = [];
  socket.onevent = (packet) => bunched.push(packet);
  setInterval(() => bunched.splice(0).forEach(take), 500);
}`;

export interface NodeOnTab {
  readonly name: string;
  /** Text under the node; undefined when it shows none. */
  readonly status: string | undefined;
  readonly tone: 'red' | 'green' | 'yellow' | 'blue' | 'grey' | undefined;
  /** The editor marks a node whose settings are not valid. */
  readonly invalid: boolean;
}

/** Opens the editor on a tab with the panels at both sides folded away. */
export async function openTab(page: Page, url: string, tab: string): Promise<void> {
  await page.goto(url);
  await showTab(page, tab);
  await page.evaluate(foldPanels);
}

/** In the editor that is open; returns when the tab's nodes are drawn, and no other's. */
export async function showTab(page: Page, tab: string): Promise<void> {
  await page.locator(`li.red-ui-tab[flowname="${tab}"] a`).click();
  await page.waitForFunction(drawsOnly, tab);
}

export function nodesOnTab(page: Page): Promise<NodeOnTab[]> {
  return page.evaluate<NodeOnTab[]>(readNodes);
}

/** Runs inside the page, where `RED` is the editor. Told, not toggled: the server remembers the panels of the page before. */
const foldPanels = `for (const action of ['core:toggle-sidebar', 'core:toggle-palette']) RED.actions.invoke(action, false)`;

/** Runs inside the page: the node of each group drawn is on the tab, and each node of the tab has a group. */
const drawsOnly = `(tab) => {
  const active = RED.nodes.workspace(RED.workspaces.active());
  const drawn = [...document.querySelectorAll('g.red-ui-flow-node-group')].map(({ id }) => id).sort();
  const wanted = RED.nodes.filterNodes({ z: active?.id }).map(({ id }) => id).sort();
  return active?.label === tab && drawn.length > 0 && drawn.join() === wanted.join();
}`;

/** Runs inside the page; `flow-node-error` is the editor's triangle for settings that are not valid. */
const readNodes = `[...document.querySelectorAll('g.red-ui-flow-node-group')].map((group) => {
  const shown = (element) => element !== null && element.style.display !== 'none' && !element.classList.contains('hide');
  const status = group.querySelector('.red-ui-flow-node-status-group');
  const classes = group.querySelector('rect.red-ui-flow-node-status')?.getAttribute('class') ?? '';
  return {
    name: group.querySelector('.red-ui-flow-node-label-text')?.textContent ?? '',
    status: shown(status) ? status.querySelector('.red-ui-flow-node-status-label')?.textContent : undefined,
    tone: /(?:dot|ring)-(red|green|yellow|blue|grey)/.exec(classes)?.[1],
    invalid: shown(group.querySelector('.red-ui-flow-node-error')),
  };
})`;
