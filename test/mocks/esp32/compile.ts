import { execFile } from 'node:child_process';
import { copyFileSync, globSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const sketch = resolve(__dirname, '../../../examples/esp32/prepaid_meter');
const host = join(__dirname, 'host');
const run = promisify(execFile);
/** The ESP32's compiler knows a newer standard; warnings are errors here. */
const strict = ['-std=gnu++17', '-Wall', '-Wextra', '-Werror', '-O1'];

/** A folder for binaries, settings.h and the meter's memory. */
export function workFolder(): string {
  return mkdtempSync(join(tmpdir(), 'meterflow-esp32-'));
}

/** The rules about money alone; the path of the program. */
export async function compileLogic(folder: string): Promise<string> {
  const rules = [
    'prepaid',
    'report_buffer',
    'balance_asking',
    'messages',
    'flat_json',
    'text',
    'quarter_readings',
    'tokens',
  ];
  return compile(folder, 'logic', [
    `-I${sketch}`,
    join(__dirname, 'logic.cpp'),
    ...rules.map((name) => join(sketch, `${name}.cpp`)),
  ]);
}

/** The whole sketch, against the headers of host/; `settings` are the lines of its settings.h. */
export async function compileSketch(
  folder: string,
  settings: Readonly<Record<string, string>>,
): Promise<string> {
  const lines = Object.entries(settings).map(([name, value]) => `#define ${name} ${value}\n`);
  writeFileSync(join(folder, 'settings.h'), `#pragma once\n${lines.join('')}`);
  const own = globSync('*.cpp', { cwd: host }).map((name) => join(host, name));
  return compile(folder, 'meter', [...sources(folder), ...own]);
}

/** With the settings that the reader copies: TLS, no signed readings. */
export async function checkExampleSettings(folder: string): Promise<void> {
  copyFileSync(join(sketch, 'settings.example.h'), join(folder, 'settings.h'));
  await run('g++', [...strict, '-fsyntax-only', ...sources(folder)]);
}

function sources(settings: string): string[] {
  return [
    `-I${host}`,
    `-I${settings}`,
    `-I${sketch}`,
    '-x',
    'c++',
    join(sketch, 'prepaid_meter.ino'),
    '-x',
    'none',
    ...globSync('*.cpp', { cwd: sketch }).map((name) => join(sketch, name)),
  ];
}

async function compile(folder: string, name: string, options: readonly string[]): Promise<string> {
  const binary = join(folder, name);
  await run('g++', [...strict, ...options, '-lmbedcrypto', '-o', binary]);
  return binary;
}
