import { strict as assert } from 'node:assert';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runInNewContext } from 'node:vm';

const root = resolve(__dirname, '../..');
const nodesFolder = join(root, 'nodes');
const types = readdirSync(nodesFolder)
  .filter((file) => file.endsWith('.html'))
  .map((file) => file.slice(0, -'.html'.length));

const headings = ['Inputs', 'Outputs', 'Details', 'References'];

/** What an html file registers, as the editor would see it. */
interface Registered {
  readonly category: string;
  readonly color?: string;
  readonly icon?: string;
  readonly inputs?: number;
  readonly outputs?: number;
  readonly defaults: Record<
    string,
    { value: unknown; type?: string; required?: boolean; validate?: unknown }
  >;
  readonly credentials?: Record<string, unknown>;
  readonly label: (this: object) => string;
  readonly paletteLabel?: (this: object) => string;
  readonly outputLabels?: (this: object, index: number) => string;
  readonly inputLabels?: (this: object) => string;
}

describe('A node and its partners agree', () => {
  for (const type of types) {
    describe(type, () => {
      const html = read(`${type}.html`);
      const source = read(`${type}.ts`);
      const definition = registered(type, html);
      const catalog = JSON.parse(read(`locales/en-US/${type}.json`)) as Record<string, unknown>;
      const isConfig = definition.category === 'config';
      const outputs = outputsOf(source);
      const translate = (key: string): string => lookup(catalog, key);
      const instance = { _: translate, name: '', operation: 'create', operationType: 'msg' };

      it('is listed in package.json', () => {
        const { 'node-red': section } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
          'node-red': { nodes: Record<string, string> };
        };
        assert.equal(section.nodes[type], `dist/nodes/${type}.js`);
      });

      it('has in its dialog exactly the properties that its code knows', () => {
        assert.deepEqual(
          Object.keys(definition.defaults)
            .filter((key) => key !== 'name')
            .sort(),
          fieldsOf(source, 'Config').sort(),
        );
        for (const key of fieldsOf(source, 'Config')) {
          assert.ok(isUsed(source, key), `${key} is never used in ${type}.ts`);
        }
        assert.deepEqual(Object.keys(definition.credentials ?? {}), fieldsOf(source, 'Credentials'));
      });

      it('has a field for each of them', () => {
        const prefix = isConfig ? 'node-config-input-' : 'node-input-';
        for (const key of [
          ...Object.keys(definition.defaults),
          ...Object.keys(definition.credentials ?? {}),
        ]) {
          const present = html.includes(`id="${prefix}${key}"`) || html.includes(`id="${prefix}${key}-list"`);
          assert.ok(present, `no field ${prefix}${key}`);
        }
      });

      it('has a field for each column of its lists', () => {
        for (const [, list = '', columns = ''] of source.matchAll(/^ {2}(\w+): \{([^}]*)\}\[\];/gm)) {
          const names = [...columns.matchAll(/(\w+)\??:/g)].map(([, name = '']) => name);
          assert.ok(names.length > 0, list);
          for (const name of names) {
            assert.ok(html.includes(`class="${type}-${name}"`), `no field ${type}-${name}`);
            assert.match(html, new RegExp(`\\.find\\('\\.${type}-${name}'\\)`), `${name} is not saved`);
          }
        }
      });

      it('has as many ports as outputs, each with its name', () => {
        if (isConfig) return assert.equal(outputs.length, 0);
        assert.equal(definition.outputs, outputs.length);
        const labels = outputs.map((_, index) => definition.outputLabels?.call(instance, index));
        assert.deepEqual(labels, outputs);
        if (definition.inputs === 1) assert.ok(definition.inputLabels?.call(instance));
        assert.equal(/\binput\(/.test(source), definition.inputs === 1, 'inputs in html and code');
      });

      it('has a label, and every text of the dialog in its locale file, and none too many', () => {
        assert.ok(definition.label.call(instance));
        if (!isConfig) assert.ok(definition.paletteLabel?.call(instance));
        const used = new Set<string>();
        for (const [, key = ''] of html.matchAll(/data-i18n="(?:\[\w+\])?([^"]+)"/g)) used.add(key);
        for (const [, key = ''] of html.matchAll(/\._\(\s*'([^']+)'\s*\)/g)) used.add(key);
        for (const [, name = ''] of html.matchAll(new RegExp(`id="${type}-tab-(\\w+)"`, 'g'))) {
          used.add(`${type}.tab.${name}`);
        }
        for (const key of used) assert.ok(translate(key), `no text for ${key}`);
        const dynamic = [`${type}.outputs.`, `${type}.operation.`];
        for (const key of flatten(catalog)) {
          const known = used.has(key) || dynamic.some((prefix) => key.startsWith(prefix));
          assert.ok(known || key === `${type}.label.operation`, `${key} is never shown`);
        }
      });

      it('has help in the host’s order, with each output and an example message', () => {
        const help = read(`locales/en-US/${type}.html`);
        assert.ok(help.includes(`data-help-name="${type}"`));
        const found = [...help.matchAll(/<h3>(\w+)<\/h3>/g)].map(([, heading = '']) => heading);
        const wanted = headings.filter(
          (heading) =>
            (heading !== 'Inputs' || definition.inputs === 1) &&
            (heading !== 'Outputs' || outputs.length > 0),
        );
        assert.deepEqual(found, wanted);
        assert.match(help.slice(0, help.indexOf('<h3>')), /<p>[\s\S]{40,}<\/p>/, 'a summary comes first');
        const ports = /<ol class="node-ports">([\s\S]*?)<\/ol>/.exec(help)?.[1] ?? '';
        const named = [...ports.matchAll(/<li>\s*([\w-]+)/g)].map(([, name = '']) => name);
        assert.deepEqual(named, outputs);
        if (!isConfig) assert.ok(help.includes('<pre'), 'an example message');
      });

      it('has an icon of its own and a colour', () => {
        if (isConfig) return;
        assert.equal(definition.icon, `${type}.svg`);
        assert.match(definition.color ?? '', /^#[0-9A-F]{6}$/);
        const icon = read(`icons/${type}.svg`);
        assert.match(icon, /width="40" height="60"/);
        assert.match(icon, /stroke="#fff"/);
      });

      it('validates what has a range', () => {
        for (const [key, { value, validate }] of Object.entries(definition.defaults)) {
          if (typeof validate !== 'function') continue;
          const valid = (validate as (this: object, value: unknown) => unknown).call(instance, value);
          assert.equal(valid, true, `the default of ${key}`);
        }
      });

      it('stands in a shipped flow', () => {
        const flows = readdirSync(join(root, 'flows')).filter((file) => file.endsWith('.json'));
        const found = flows.flatMap(
          (file) => JSON.parse(readFileSync(join(root, 'flows', file), 'utf8')) as { type: string }[],
        );
        const mine = found.filter((node) => node.type === type) as unknown as Record<string, unknown>[];
        assert.ok(mine.length > 0, `no shipped flow uses ${type}`);
        const host = new Set(['id', 'type', 'z', 'g', 'x', 'y', 'wires', 'name', 'info', 'd', 'l', 'icon']);
        for (const node of mine) {
          const own = Object.keys(node).filter((key) => !host.has(key));
          assert.deepEqual(
            own.sort(),
            fieldsOf(source, 'Config').sort(),
            `properties of ${String(node['name'])}`,
          );
        }
      });
    });
  }

  it('api-error takes rows with a time to come back, and without', () => {
    const { validate } = registered('api-error', read('api-error.html')).defaults['codes'] ?? {};
    const isValid = validate as (rows: object[]) => boolean;
    const row = { code: 'RELAY_JAMMED', status: 503 };
    for (const retryAfterSeconds of [undefined, '', 0, '30', 86_400])
      assert.ok(isValid([{ ...row, retryAfterSeconds }]), String(retryAfterSeconds));
    for (const retryAfterSeconds of ['soon', -1, 1.5, 86_401])
      assert.ok(!isValid([{ ...row, retryAfterSeconds }]), String(retryAfterSeconds));
  });

  it('and no partner is without its node', () => {
    const partners = [
      ...readdirSync(join(nodesFolder, 'icons')).map((file) => file.replace(/\.svg$/, '')),
      ...readdirSync(join(nodesFolder, 'locales/en-US')).map((file) => file.replace(/\.(json|html)$/, '')),
    ];
    for (const partner of partners) {
      assert.ok(types.includes(partner), `${partner} belongs to no node`);
      assert.ok(existsSync(join(nodesFolder, `${partner}.ts`)));
    }
  });
});

function read(path: string): string {
  return readFileSync(join(nodesFolder, path), 'utf8');
}

/** Runs the scripts of the html against a host that only records. */
function registered(type: string, html: string): Registered {
  const found = new Map<string, Registered>();
  const window: Record<string, unknown> = {};
  const RED = {
    nodes: { registerType: (name: string, definition: Registered) => found.set(name, definition) },
    validators: {
      typedInput: () => () => true,
      regex: (pattern: RegExp) => (text: string) => pattern.test(text),
    },
  };
  const context = { window, RED, $: () => undefined, ...shared() };
  runInNewContext(scriptsOf(html), context);
  const definition = found.get(type);
  assert.ok(definition, `${type}.html registers ${type}`);
  return definition;
}

/** The helper that stands in meter-database.html. */
function shared(): { meterflow?: unknown } {
  const window: { meterflow?: unknown } = {};
  runInNewContext(scriptsOf(read('meter-database.html')), {
    window,
    RED: { nodes: { registerType: () => undefined } },
  });
  return window;
}

function scriptsOf(html: string): string {
  return [...html.matchAll(/<script type="text\/javascript">([\s\S]*?)<\/script>/g)]
    .map(([, code = '']) => code)
    .join('\n');
}

function outputsOf(source: string): string[] {
  const list = /outputs: \[([^\]]*)\]/.exec(source)?.[1] ?? '';
  return [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name);
}

function fieldsOf(source: string, name: string): string[] {
  const body =
    new RegExp(`interface ${name}(?: extends NodeDef)? \\{([\\s\\S]*?)\\n\\}`).exec(source)?.[1] ?? '';
  return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, key = '']) => key);
}

const limitFields = new Set(['kwhMax', 'ageMaxDays', 'aheadMaxMinutes']);

/** `operation` is read in request.ts and the limits in reading-limits.ts, both from the whole config. */
function isUsed(source: string, key: string): boolean {
  return (
    source.includes(`config.${key}`) ||
    (key.startsWith('operation') && source.includes('operationOf(')) ||
    (limitFields.has(key) && source.includes('readingLimits(config)'))
  );
}

function lookup(catalog: unknown, key: string): string {
  let value: unknown = catalog;
  for (const part of key.split('.')) value = (value as Record<string, unknown> | undefined)?.[part];
  return typeof value === 'string' ? value : '';
}

function flatten(value: unknown, prefix = ''): string[] {
  if (typeof value === 'string') return [prefix];
  return Object.entries(value as Record<string, unknown>).flatMap(([key, inner]) =>
    flatten(inner, prefix === '' ? key : `${prefix}.${key}`),
  );
}
