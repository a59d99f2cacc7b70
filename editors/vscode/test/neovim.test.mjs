// Neovim as it comes, without plugins, against the built server and with the grammar for tree-sitter.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { binary, folderOf } from './support/server.mjs';
import { extension, repository } from './support/textmate.mjs';

const missing = spawnSync('nvim', ['--version']).error !== undefined;
// An automatic run installs Neovim; only people may lack it.
if (missing && process.env.CI) throw new Error('nvim is missing');

test('Neovim shows diagnostics, hovers and colours', { skip: missing && 'NEOVIM IS NOT TESTED: nvim is missing' }, t => {
  const text = '## Who sells.\nworkloads checkout = all\npolicy shop {\n  for checkout\n  allow ledgr\n}\n';
  const folder = folderOf(t, { 'shop.egress': text });
  const grammar = join(repository, 'editors', 'tree-sitter-egress');
  const parser = join(folder, 'egress.so');
  const built = spawnSync('cc', ['-shared', '-fPIC', '-o', parser, '-I', join(grammar, 'src'), join(grammar, 'src', 'parser.c')], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stderr);
  const ran = spawnSync('nvim', ['--clean', '--headless', '-n', '-i', 'NONE', '-c', `luafile ${join(extension, 'test', 'neovim.lua')}`], {
    encoding: 'utf8', timeout: 120_000,
    env: {
      ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, XDG_STATE_HOME: folder, XDG_CACHE_HOME: folder,
      EGRESSC: binary, EGRESS_FILE: join(folder, 'shop.egress'), EGRESS_FOLDER: folder, EGRESS_LINE: '3', EGRESS_CHARACTER: '8',
      EGRESS_PARSER: parser, EGRESS_QUERIES: join(grammar, 'queries'),
    },
  });
  const line = ran.stdout.split('\n').find(line => line.startsWith('{'));
  assert.ok(line, `${ran.error ?? ''} ${ran.stdout} ${ran.stderr}`);
  const said = JSON.parse(line);
  assert.equal(said.failed, undefined);
  assert.ok(said.diagnostics.some(one => one.line === 4 && /ledgr/.test(one.message)), line);
  assert.match(JSON.stringify(said.hover), /Who sells/);
  assert.ok(said.captures > 10, line);
});
