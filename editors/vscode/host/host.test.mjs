// The packaged extension in VS Code itself: code-server at one end, Debian's Chromium at the other, the built server behind.
//
// VSIX is the package, EGRESSC the command, PICTURES (optional) a folder for pictures of what was seen.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const { VSIX: vsix, EGRESSC: egressc, PICTURES: pictures } = process.env;
const here = dirname(fileURLToPath(import.meta.url));
const entry = join(here, 'node_modules', 'code-server', 'out', 'node', 'entry.js');
/** What VS Code takes for granted, and Node 18 has behind a switch. */
const node = globalThis.crypto === undefined ? ['--experimental-global-webcrypto'] : [];
const environment = { ...process.env, NODE_OPTIONS: node.join(' ') };
/** How long anything may take before the test gives up. */
const PATIENCE = 60_000;

const POLICY = `## Production, as far as the shop is concerned.
cluster prod { pods 10.42.0.0/16 services 10.43.0.0/16 nodes 192.168.10.0/24 }

workloads checkout  = pods(app=checkout, !canary) in namespace shop
destinations ledger = 10.20.0.0/16 except 10.20.99.0/24

policy lockdown { for all }

policy shop {
  for checkout
  owner "team-shop"
  allow ledgr on 5432/tcp because "orders are booked when they are placed"
}

assert all cannot reach 169.254.169.254
assert only checkout can reach ledger
`;

let root;
let browser;
const servers = [];

before(async () => {
  for (const [name, path] of Object.entries({ VSIX: vsix, EGRESSC: egressc })) {
    assert.ok(path && existsSync(path), `${name} does not name a file`);
  }
  root = realpathSync(mkdtempSync(join(tmpdir(), 'egress-host-')));
  const installed = spawnSync(process.execPath, [entry, ...places(), '--install-extension', vsix], {
    encoding: 'utf8', timeout: PATIENCE, env: environment,
  });
  assert.match(installed.stdout, /successfully installed/, installed.stderr);
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });
});

after(async () => {
  await browser?.close();
  for (const server of servers) {
    // Its own children are in its group.
    process.kill(-server.pid, 'SIGKILL');
  }
  if (root) rmSync(root, { recursive: true, force: true, maxRetries: 5 });
});

function places() {
  return [
    '--config', join(root, 'config.yaml'), '--user-data-dir', join(root, 'data'), '--extensions-dir', join(root, 'extensions'),
  ];
}

/** A window on a folder that holds the policy, with the given settings besides. */
async function open(name, settings) {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'shop.egress'), POLICY);
  mkdirSync(join(root, 'data', 'User'), { recursive: true });
  writeFileSync(join(root, 'config.yaml'), 'auth: none\n');
  writeFileSync(join(root, 'data', 'User', 'settings.json'), JSON.stringify({
    'workbench.startupEditor': 'none', 'workbench.enableExperiments': false, 'telemetry.telemetryLevel': 'off',
    'extensions.autoCheckUpdates': false, 'extensions.ignoreRecommendations': true, 'security.workspace.trust.enabled': false,
    'window.commandCenter': false, 'chat.commandCenter.enabled': false, 'editor.minimap.enabled': false, 'editor.fontSize': 14, ...settings,
  }));
  const port = await freePort();
  const server = spawn(process.execPath, [
    entry, ...places(), '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check',
    '--disable-workspace-trust', '--disable-getting-started-override',
  ], { detached: true, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  servers.push(server);
  await listening(server);
  const page = await browser.newPage({ viewport: { width: 1180, height: 720 } });
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`http://127.0.0.1:${port}/?folder=${encodeURIComponent(folder)}`);
  await page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'shop.egress' }).dblclick();
  await page.locator('.view-line', { hasText: 'lockdown' }).first().waitFor();
  return page;
}

function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().on('error', fail);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function listening(server) {
  return new Promise((done, fail) => {
    let said = '';
    const timer = setTimeout(() => fail(new Error(`code-server does not listen: ${said}`)), PATIENCE);
    const look = data => {
      said += data;
      if (!/listening on/.test(said)) return;
      clearTimeout(timer);
      done();
    };
    server.stdout.on('data', look);
    server.stderr.on('data', look);
  });
}

/** Runs what it is given; where that fails, a picture says what was there. */
async function seen(page, name, run) {
  try {
    await run();
  } catch (error) {
    const path = join(tmpdir(), `egress-host-${name}.png`);
    await page.screenshot({ path });
    error.message += `\nwhat was there: ${path}`;
    throw error;
  }
}

async function command(page, title) {
  await page.keyboard.press('F1');
  await page.locator('.quick-input-box input').first().waitFor();
  await page.keyboard.type(title);
  await page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().waitFor();
  await page.keyboard.press('Enter');
}

/** Answers an input box that asks `about`. */
async function answer(page, about, text) {
  await page.locator('.quick-input-widget', { hasText: about }).waitFor();
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text === '' ? ' ' : text);
  await page.keyboard.press('Enter');
}

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

test('a missing binary is said, with a way to the settings', async () => {
  const page = await open('missing', { 'egress.server.path': '/nowhere/egressc' });
  await seen(page, 'missing', async () => {
    const toast = page.locator('.notifications-toasts', { hasText: '/nowhere/egressc' });
    await toast.waitFor();
    await toast.getByRole('button', { name: 'Open Settings' }).click();
    await page.locator('.settings-editor', { hasText: 'Egress' }).waitFor();
  });
  await page.close();
});

test('errors, a quick fix, an explained flow and compiled objects', async () => {
  const page = await open('shop', { 'egress.server.path': egressc });
  await seen(page, 'shop', async () => {
    await page.locator('.squiggly-error').first().waitFor();
    await command(page, 'Problems: Focus on Problems View');
    await page.locator('.markers-panel .monaco-list-row', { hasText: 'ledgr' }).first().waitFor();
    await page.waitForTimeout(500);
    await picture(page, 'editor-problem');
    await page.keyboard.press('Control+J');

    await page.locator('.view-line span', { hasText: /^ledgr$/ }).first().click();
    await page.keyboard.press('Control+.');
    await page.locator('.action-widget', { hasText: 'ledger' }).waitFor();
    await page.keyboard.press('Enter');
    await page.locator('.squiggly-error').first().waitFor({ state: 'detached' });
    await page.keyboard.press('Control+S');

    await command(page, 'Egress: Explain a Flow');
    await answer(page, 'From which workload?', 'shop/checkout');
    await answer(page, 'To where?', '10.20.4.7:5432/tcp');
    await answer(page, 'Looked up by which names?', '');
    await page.locator('.view-lines', { hasText: /shop#1/ }).waitFor();
    await picture(page, 'editor-explain');

    await page.locator('.view-line', { hasText: 'lockdown' }).first().click();
    await command(page, 'Egress: Compile Preview');
    await page.locator('.quick-input-list .monaco-list-row', { hasText: 'cilium' }).click();
    await page.locator('.tab', { hasText: /\.yaml/ }).waitFor();
    await page.locator('.view-lines', { hasText: /Cilium\w*NetworkPolicy/ }).waitFor();
    await picture(page, 'editor-compile');
  });
  await page.close();
});
