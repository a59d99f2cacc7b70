// The built server, end to end: every kind of request once, over stdio, and the extension's own modules against it.
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { Session, edited, folderOf, lsp, placeOf, textOf } from './support/server.mjs';
import { ScriptedEditor, loadSources } from './support/sources.mjs';
import { repository } from './support/textmate.mjs';

const sources = await loadSources();

const SHOP = `## Who sells.
workloads checkout = pods(app=checkout) in namespace shop

policy shop {
  for checkout
  allow ledger on postgres because "orders"
  allow partners on 443/tcp via eu-fixed
}

policy lockdown { for all }

assert all cannot reach 169.254.169.254
assert checkout can reach ledger on postgres
`;

const BASE = `destinations ledger = 10.20.0.0/16 except 10.20.99.0/24
destinations partners = list "lists/partners.txt"
ports postgres = 5432/tcp

gateway eu-fixed {
  nodes(egress-zone=eu)
  address 203.0.113.10
}
`;

const CLUSTER = 'cluster prod { pods 10.42.0.0/16 services 10.43.0.0/16 nodes 192.168.10.0/24 }\n';
const INVENTORY = JSON.stringify({
  kind: 'List',
  items: [
    { kind: 'Namespace', metadata: { name: 'shop' } },
    {
      kind: 'Pod', metadata: { name: 'checkout-1', namespace: 'shop', labels: { app: 'checkout' } },
      spec: { nodeName: 'one' }, status: { phase: 'Running', podIP: '10.42.0.7' },
    },
  ],
});
const FILES = {
  'shop.egress': SHOP, 'base.egress': BASE, 'cluster.egress': CLUSTER, 'lists/partners.txt': '192.0.2.0/24\n', 'inventory.json': INVENTORY,
};

/** A session with both files open and nothing wrong in them. */
async function shop(t, options) {
  const folder = folderOf(t, FILES);
  const session = await Session.start(t, [folder], options);
  const document = await session.open(join(folder, 'shop.egress'), SHOP);
  const base = await session.open(join(folder, 'base.egress'), BASE);
  return { folder, session, document, base };
}

/** Asks again until the answer is as wanted, for ten seconds. */
async function until(ask, wanted) {
  for (let i = 0; i < 200; i += 1) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error('it never came to be');
}

const errorsOf = diagnostics => diagnostics.filter(one => one.severity === lsp.DiagnosticSeverity.Error);
const noErrors = diagnostics => errorsOf(diagnostics).length === 0;
const codes = diagnostics => diagnostics.map(one => String(one.code));
const wordsOf = contents => (typeof contents === 'string' ? contents : Array.isArray(contents) ? contents.map(wordsOf).join('\n') : contents.value);
/** Definitions as places, whichever of its forms the server chose. */
const places = found => [found].flat().map(one => ({ uri: one.targetUri ?? one.uri, range: one.targetSelectionRange ?? one.range }));

test('it says what it can, and ends with exit code 0', async t => {
  const { session } = await shop(t);
  const can = session.hello.capabilities;
  for (const name of [
    'hoverProvider', 'definitionProvider', 'referencesProvider', 'renameProvider', 'documentSymbolProvider', 'workspaceSymbolProvider',
    'completionProvider', 'signatureHelpProvider', 'documentFormattingProvider', 'foldingRangeProvider', 'selectionRangeProvider',
    'semanticTokensProvider', 'inlayHintProvider', 'codeLensProvider', 'codeActionProvider', 'documentLinkProvider', 'executeCommandProvider',
  ]) assert.ok(can[name], `no ${name}`);
  assert.ok(can.executeCommandProvider.commands.includes('egress.server.explain'));
  assert.equal(await session.quit(), 0);
});

test('diagnostics follow small changes, across files', async t => {
  const { session, document, base } = await shop(t);
  await session.replace(document, 'allow ledger', 'allow ledgr');
  const wrong = errorsOf(await session.diagnosed(document, found => errorsOf(found).length > 0));
  assert.match(String(wrong[0].code), /^egress::name::/);
  assert.equal(textOf(document, wrong[0].range), 'ledgr');
  await session.replace(document, 'allow ledgr', 'allow ledger');
  await session.diagnosed(document, noErrors);

  await session.replace(base, 'ports postgres', 'ports postgresql');
  await session.diagnosed(document, found => codes(errorsOf(found)).some(code => code.startsWith('egress::name::')));
  await session.replace(base, 'ports postgresql', 'ports postgres');
  await session.diagnosed(document, noErrors);

  await session.replace(document, 'for checkout', 'for (checkout');
  assert.match(codes(errorsOf(await session.diagnosed(document, found => !noErrors(found))))[0], /^egress::syntax::/);
});

test('an assertion that fails shows a flow', async t => {
  const { session, document } = await shop(t);
  await session.replace(document, 'assert all cannot reach 169.254.169.254', 'assert all cannot reach 192.0.2.7');
  const found = await session.diagnosed(document, found => codes(found).includes('egress::assert::failed'));
  const failed = found.find(one => one.code === 'egress::assert::failed');
  assert.match(JSON.stringify(failed), /192\.0\.2\.7/);
});

test('hover, definition and references', async t => {
  const { session, document, base } = await shop(t);
  const hover = await session.request(lsp.HoverRequest.type, placeOf(document, 'checkout', 2));
  assert.match(wordsOf(hover.contents), /Who sells/);
  const [definition] = places(await session.request(lsp.DefinitionRequest.type, placeOf(document, 'ledger')));
  assert.equal(definition.uri, base.uri);
  assert.match(textOf(base, definition.range), /^(ledger$|destinations ledger)/);
  const references = await session.request(lsp.ReferencesRequest.type, {
    ...placeOf(base, 'ledger'), context: { includeDeclaration: true },
  });
  assert.deepEqual(references.map(one => (one.uri === base.uri ? 'base' : 'shop')).sort(), ['base', 'shop', 'shop']);
});

test('rename reaches every file, and refuses what is no name', async t => {
  const { session, document, base } = await shop(t);
  const place = placeOf(document, 'ledger');
  const prepared = await session.request(lsp.PrepareRenameRequest.type, place);
  assert.equal(textOf(document, prepared.range ?? prepared), 'ledger');
  const edit = await session.request(lsp.RenameRequest.type, { ...place, newName: 'books' });
  const changes = edit.changes ?? Object.fromEntries(edit.documentChanges.map(one => [one.textDocument.uri, one.edits]));
  assert.equal(edited(document, changes[document.uri]), SHOP.replaceAll('ledger', 'books'));
  assert.equal(edited(base, changes[base.uri]), BASE.replaceAll('ledger', 'books'));
  await assert.rejects(session.request(lsp.RenameRequest.type, { ...place, newName: 'No Name' }));
});

test('symbols of a file and of the workspace', async t => {
  const { session, document } = await shop(t);
  const symbols = await session.request(lsp.DocumentSymbolRequest.type, { textDocument: { uri: document.uri } });
  const names = symbols.map(one => one.name);
  for (const name of ['checkout', 'shop', 'lockdown']) assert.ok(names.some(found => found.includes(name)), `${name} in ${names}`);
  const found = await session.request(lsp.WorkspaceSymbolRequest.type, { query: 'ledger' });
  assert.ok(found.some(one => one.name.includes('ledger') && one.location.uri.endsWith('/base.egress')));
});

test('completion knows names and keywords, and what fits where', async t => {
  const { session, document } = await shop(t);
  const labels = async place => {
    const found = await session.request(lsp.CompletionRequest.type, place);
    return (Array.isArray(found) ? found : found.items).map(one => one.label);
  };
  const destinations = await labels(placeOf(document, 'ledger', 0, 0));
  for (const label of ['ledger', 'partners']) assert.ok(destinations.includes(label), `${label} in ${destinations}`);
  assert.ok(!destinations.includes('postgres'), 'a port set is no destination');
  const ports = await labels(placeOf(document, 'postgres', 0, 0));
  assert.ok(ports.includes('postgres') && !ports.includes('ledger'), String(ports));
  await session.replace(document, 'policy lockdown', '\npolicy lockdown');
  const lines = await labels(placeOf(document, '\n\npolicy lockdown', 0, 1));
  assert.ok(lines.some(label => label.startsWith('policy')), String(lines));
});

test('signature help, formatting, folding, selection', async t => {
  const { session, document } = await shop(t);
  const help = await session.request(lsp.SignatureHelpRequest.type, placeOf(document, ' on postgres'));
  assert.match(help.signatures[0].label, /allow/);
  await session.replace(document, '  for checkout', '      for    checkout');
  const edits = await session.request(lsp.DocumentFormattingRequest.type, {
    textDocument: { uri: document.uri }, options: { tabSize: 2, insertSpaces: true },
  });
  assert.equal(edited(document, edits), SHOP);
  const folds = await session.request(lsp.FoldingRangeRequest.type, { textDocument: { uri: document.uri } });
  assert.ok(folds.some(fold => fold.startLine === 3 && fold.endLine >= 6), JSON.stringify(folds));
  const { textDocument, position } = placeOf(document, 'ledger');
  const [selection] = await session.request(lsp.SelectionRangeRequest.type, { textDocument, positions: [position] });
  assert.equal(textOf(document, selection.range), 'ledger');
  const texts = [];
  for (let range = selection; range; range = range.parent) texts.push(textOf(document, range.range));
  assert.ok(texts.some(text => text.startsWith('allow ledger') && text.endsWith('"orders"')), JSON.stringify(texts));
});

test('semantic tokens lie on the words they name', async t => {
  const { session, document } = await shop(t);
  const { legend } = session.hello.capabilities.semanticTokensProvider;
  const { data } = await session.request(lsp.SemanticTokensRequest.type, { textDocument: { uri: document.uri } });
  assert.ok(data.length > 0 && data.length % 5 === 0);
  const lines = document.text.split('\n');
  const found = new Map();
  let [line, character] = [0, 0];
  for (let i = 0; i < data.length; i += 5) {
    if (data[i] > 0) character = 0;
    line += data[i];
    character += data[i + 1];
    const text = lines[line].slice(character, character + data[i + 2]);
    assert.ok(text.length === data[i + 2], 'a token ends within its line');
    found.set(text, legend.tokenTypes[data[i + 3]]);
  }
  assert.equal(found.get('policy'), 'keyword');
  assert.equal(found.get('443/tcp'), 'number');
  assert.ok(found.has('ledger') && found.get('ledger') !== 'keyword');
});

test('inlay hints, code lenses, document links', async t => {
  const { session, document, base } = await shop(t);
  const whole = { start: { line: 0, character: 0 }, end: { line: 99, character: 0 } };
  // They are there once it is known what the policies mean.
  const hints = await until(
    () => session.request(lsp.InlayHintRequest.type, { textDocument: { uri: base.uri }, range: whole }), found => found.length > 0,
  );
  assert.ok(hints.every(hint => /address|pod|host/.test(hint.label)), JSON.stringify(hints));
  const lenses = await session.request(lsp.CodeLensRequest.type, { textDocument: { uri: document.uri } });
  assert.ok(lenses.length > 0, 'no lenses');
  const commands = [];
  for (const lens of lenses) {
    const resolved = lens.command ? lens : await session.request(lsp.CodeLensResolveRequest.type, lens);
    commands.push(resolved.command.command);
  }
  for (const command of commands.filter(command => command !== '')) assert.match(command, /^egress\.(explain|compile|coverage)$/);
  assert.ok(commands.some(command => command !== ''));
  const links = await session.request(lsp.DocumentLinkRequest.type, { textDocument: { uri: base.uri } });
  assert.equal(links.length, 1);
  assert.match(links[0].target, /\/lists\/partners\.txt$/);
});

test('a code action mends a misspelled name', async t => {
  const { session, document } = await shop(t);
  await session.replace(document, 'allow ledger', 'allow ledgr');
  const diagnostics = errorsOf(await session.diagnosed(document, found => !noErrors(found)));
  const actions = await session.request(lsp.CodeActionRequest.type, {
    textDocument: { uri: document.uri }, range: diagnostics[0].range, context: { diagnostics },
  });
  const mended = [];
  for (const action of actions) {
    const { edit } = action.edit ? action : await session.request(lsp.CodeActionResolveRequest.type, action);
    const edits = edit?.changes?.[document.uri] ?? edit?.documentChanges?.find(one => one.textDocument.uri === document.uri)?.edits;
    if (edits) mended.push(edited(document, edits));
  }
  assert.ok(mended.includes(SHOP), JSON.stringify(actions));
});

test('what is cancelled is answered, and hurts nothing', async t => {
  const { session, document } = await shop(t);
  for (let i = 0; i < 20; i += 1) {
    const source = new lsp.CancellationTokenSource();
    const asked = session.request(lsp.DefinitionRequest.type, placeOf(document, 'ledger'), source.token);
    source.cancel();
    // It may have been answered before it was cancelled.
    await asked.catch(error => assert.equal(error.code, lsp.LSPErrorCodes.RequestCancelled));
  }
  assert.ok(await session.request(lsp.DefinitionRequest.type, placeOf(document, 'checkout', 2)));
  await assert.rejects(session.request('egress/nothing', {}), error => error.code === lsp.ErrorCodes.MethodNotFound);
  assert.equal(await session.quit(), 0);
});

test('two folders are two units', async t => {
  const one = folderOf(t, { 'a.egress': 'workloads here = all\npolicy p { for here }\n' });
  const two = folderOf(t, { 'b.egress': 'policy p { for here }\n' });
  const session = await Session.start(t, [one, two]);
  const first = await session.open(join(one, 'a.egress'), 'workloads here = all\npolicy p { for here }\n');
  const second = await session.open(join(two, 'b.egress'), 'policy p { for here }\n');
  await session.diagnosed(second, found => codes(errorsOf(found)).some(code => code.startsWith('egress::name::')));
  assert.ok(noErrors(session.diagnostics.get(first.uri)?.diagnostics ?? []), 'the first folder knows the name');
});

test('configuration that changes is read again', async t => {
  const { session, document } = await shop(t, { asOf: '2027-01-01' });
  await session.replace(document, 'because "orders"', 'because "orders" until 2027-06-30');
  session.options = { ...session.options, asOf: '2028-01-01' };
  await session.notify(lsp.DidChangeConfigurationNotification.type, { settings: { egress: session.options } });
  await session.diagnosed(document, found => codes(found).includes('egress::rule::expired'));
});

// --- the extension's own modules against the server

/** A scripted editor whose questions this session answers. */
function editorOf(session, answers) {
  const changes = [];
  const views = new sources.Views(
    question => sources.ask((command, argument) => session.execute(command, argument), question), address => changes.push(address),
  );
  return { editor: new ScriptedEditor(views, answers), views, changes };
}

test('explain a flow, as the palette does it', async t => {
  const { session, document } = await shop(t);
  const { editor, views } = editorOf(session, ['shop/checkout', '10.20.4.7:5432/tcp', '']);
  await sources.explain(editor, { uri: document.uri });
  assert.deepEqual(editor.complaints, []);
  const text = views.text(editor.shown[0].address.key);
  assert.match(text, /allowed/);
  assert.match(text, /shop#1/);

  editor.answers = ['shop/checkout', 'not an address', ''];
  await sources.explain(editor, { uri: document.uri });
  assert.equal(editor.complaints.length, 1, 'what cannot be read is refused in words');
});

test('compile for every target, and again when the policy has changed', async t => {
  const { session, document } = await shop(t, { inventory: ['inventory.json'] });
  const { editor, views, changes } = editorOf(session, ['nftables', 'cilium', 'ebpf', 'kube-vip']);
  for (let i = 0; i < 4; i += 1) await sources.compile(editor, { uri: document.uri });
  // A target that cannot express the policy says so: that is an answer too, and never an empty text.
  assert.equal(editor.shown.length + editor.complaints.length, 4);
  assert.ok(editor.complaints.every(words => words.trim() !== ''));
  const nftables = editor.shown.find(shown => shown.address.title.endsWith('.nft'));
  assert.ok(nftables, JSON.stringify(editor.complaints));
  const before = views.text(nftables.address.key);
  assert.match(before, /table inet/);
  await session.replace(document, 'on postgres because', 'on 5433/tcp because');
  await session.replace(document, 'assert checkout can reach ledger on postgres', 'assert checkout can reach ledger on 5433/tcp');
  await views.refresh();
  assert.ok(changes.some(address => address.key === nftables.address.key));
  assert.notEqual(views.text(nftables.address.key), before);
  await session.replace(document, 'policy lockdown', 'policy lock down');
  await views.refresh();
  assert.match(views.text(nftables.address.key), /^# There is no answer/);
});

test('coverage of the retailer, with its inventory', async t => {
  const folder = folderOf(t, {});
  cpSync(join(repository, 'testdata', 'retailer'), folder, { recursive: true });
  const session = await Session.start(t, [folder], { inventory: ['inventory.json'], proofs: false, asOf: '2027-01-01' });
  const path = join(folder, 'policies', 'shop.egress');
  const document = await session.open(path, readFileSync(path, 'utf8'));
  const { editor, views } = editorOf(session, []);
  await sources.coverage(editor, { uri: pathToFileURL(path).href });
  assert.deepEqual(editor.complaints, []);
  assert.match(views.text(editor.shown[0].address.key), /\d/);
  assert.equal(await session.quit(), 0);
});
