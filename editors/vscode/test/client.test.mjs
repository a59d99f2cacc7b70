// The extension's own modules, without an editor and without a server.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';

import { ScriptedEditor, loadSources } from './support/sources.mjs';

const sources = await loadSources();
const uri = 'file:///work/shop.egress';

/** A server that keeps what it was asked, and answers with what it was given. */
function fakeServer(answer) {
  const calls = [];
  const execute = async (command, argument) => {
    calls.push({ command, argument: { ...argument } });
    return answer(command, argument);
  };
  return { calls, ask: question => sources.ask(execute, question) };
}

test('settings become what the server reads', () => {
  const none = sources.serverOptions(() => undefined);
  assert.deepEqual(none, { inventory: [], units: [], asOf: null, strict: false, proofs: true, clientCommands: true });
  const values = { inventory: ['a.json', 7], units: ['shop'], asOf: ' 2027-01-01 ', strict: true, proofs: false };
  assert.deepEqual(sources.serverOptions(name => values[name]), {
    inventory: ['a.json'], units: ['shop'], asOf: '2027-01-01', strict: true, proofs: false, clientCommands: true,
  });
  assert.deepEqual(sources.serverCall(() => undefined), { path: 'egressc', arguments: ['lsp'] });
  assert.deepEqual(sources.serverCall(name => ({ 'server.path': ' ', 'server.arguments': [] })[name]), {
    path: 'egressc', arguments: [],
  });
});

test('the binary is found by name, by path, below the home and below the workspace', async t => {
  const root = mkdtempSync(join(tmpdir(), 'egress-binary-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const folder of ['bin', 'empty']) mkdirSync(join(root, folder));
  const binary = join(root, 'bin', 'egressc');
  writeFileSync(binary, '#!/bin/sh\n');
  chmodSync(binary, 0o755);
  writeFileSync(join(root, 'empty', 'egressc'), 'not a program');
  const place = {
    folder: root, home: root, windows: false, path: ['', join(root, 'none'), join(root, 'empty'), join(root, 'bin')].join(delimiter),
  };
  for (const setting of ['egressc', binary, '~/bin/egressc', '${workspaceFolder}/bin/egressc', 'bin/egressc', './bin/egressc']) {
    assert.deepEqual(await sources.findBinary(setting, place), { path: binary }, setting);
  }
  assert.match((await sources.findBinary('egressx', place)).missing, /`egressx` was not found in PATH/);
  assert.match((await sources.findBinary('empty/egressc', place)).missing, /not a program that can be run/);
  assert.match((await sources.findBinary('bin/', place)).missing, /not a program/);
  const noFolder = { ...place, folder: undefined };
  assert.match((await sources.findBinary('${workspaceFolder}/x', noFolder)).missing, /needs an open folder/);
});

test('explain asks for from, to and names, and remembers the answers', async () => {
  const server = fakeServer(() => ({ title: 'a/b → c', language: 'plaintext', text: 'denied' }));
  const views = new sources.Views(server.ask, () => {});
  const editor = new ScriptedEditor(views, ['shop/checkout', ' 192.0.2.7:443/tcp ', 'a.example, b.example']);
  editor.file = uri;
  await sources.explain(editor);
  assert.deepEqual(server.calls, [{
    command: 'egress.server.explain',
    argument: { uri, from: 'shop/checkout', to: '192.0.2.7:443/tcp', name: ['a.example', 'b.example'] },
  }]);
  assert.equal(editor.shown[0].address.title, 'a∕b → c');
  assert.equal(views.text(editor.shown[0].address.key), 'denied');

  editor.answers = ['shop/checkout', '192.0.2.8:443/tcp', ''];
  await sources.explain(editor);
  assert.deepEqual(editor.asked.slice(3).map(prompt => prompt.value), ['shop/checkout', ' 192.0.2.7:443/tcp ', 'a.example, b.example']);
  assert.equal('name' in server.calls[1].argument, false, 'no names: none are sent');
  assert.ok(editor.asked[0].check(' '), 'an empty workload is refused');
  assert.equal(editor.asked[0].check('x'), undefined);
});

test('a dismissed question asks the server nothing, and what a lens gives is not asked', async () => {
  const server = fakeServer(() => ({ title: 't', language: 'plaintext', text: '' }));
  const editor = new ScriptedEditor(new sources.Views(server.ask, () => {}), [undefined]);
  await sources.explain(editor);
  assert.equal(editor.complaints.length, 1, 'no file is open');
  await sources.explain(editor, { uri });
  assert.deepEqual(server.calls, []);
  assert.equal(editor.notes.size, 0);
  editor.answers = [''];
  await sources.explain(editor, { uri, from: 'a/b', to: '192.0.2.1:1/tcp' });
  assert.equal(server.calls.length, 1);
});

test('compile offers the last target first, and refreshes', async () => {
  let text = 'one';
  const changes = [];
  const server = fakeServer(() => {
    if (text === undefined) throw new Error('1 error\nin shop.egress');
    return { title: 'nftables', language: 'nftables', text };
  });
  const views = new sources.Views(server.ask, address => changes.push(address));
  const editor = new ScriptedEditor(views, ['cilium', 'nftables']);
  await sources.compile(editor, { uri });
  await sources.compile(editor, { uri });
  assert.deepEqual(editor.asked[1].choices.map(choice => choice.label), ['cilium', 'nftables', 'ebpf', 'kube-vip']);
  const { address } = editor.shown[1];
  assert.equal(address.title, 'nftables.nft');
  await views.refresh();
  assert.deepEqual(changes, [], 'equal text is no change');
  text = 'two';
  await views.refresh();
  assert.equal(views.text(address.key), 'two');
  assert.equal(changes.length, 2);
  text = undefined;
  await views.refresh();
  assert.match(views.text(address.key), /^# There is no answer .*\n# 1 error\n# in shop.egress\n$/);
  views.forget(address.key);
  assert.equal(views.text(address.key), undefined);
  await views.refresh();
  assert.equal(views.text(address.key), undefined, 'what was closed stays closed');
});

test('what the server refuses is said in its words, and what it answers is checked', async () => {
  const refusing = fakeServer(() => { throw new Error('`shop/x` matches no pod'); });
  const editor = new ScriptedEditor(new sources.Views(refusing.ask, () => {}), []);
  await sources.coverage(editor, { uri });
  assert.deepEqual(editor.complaints, ['`shop/x` matches no pod']);
  for (const wrong of [null, 'text', { title: 't' }, { title: 't', language: 'x', text: 7 }]) {
    await assert.rejects(fakeServer(() => wrong).ask({ kind: 'coverage', uri }), /no known form/);
  }
});
