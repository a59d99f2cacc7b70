// A session with the built server over stdio, by the client library of VS Code's own protocol.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { repository } from './textmate.mjs';

const require = createRequire(import.meta.url);
export const lsp = require('vscode-languageserver-protocol/node');

export const binary = process.env.EGRESSC ?? join(repository, 'target', 'debug', 'egressc');

/** How long anything may take before a test gives up. Nothing is said about how long it should. */
const PATIENCE = 60_000;

/** A folder with `files` (path → text) that is gone after the test. */
export function folderOf(t, files) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'egress-workspace-')));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

/** What an editor that can do everything says that it can. */
const CAPABILITIES = {
  general: { positionEncodings: ['utf-16'] },
  workspace: {
    applyEdit: true, workspaceFolders: true, configuration: true, executeCommand: {}, symbol: {},
    didChangeConfiguration: { dynamicRegistration: true }, didChangeWatchedFiles: { dynamicRegistration: true },
    workspaceEdit: { documentChanges: true }, codeLens: { refreshSupport: true }, inlayHint: { refreshSupport: true },
    semanticTokens: { refreshSupport: true }, diagnostics: { refreshSupport: true },
  },
  window: { workDoneProgress: true },
  textDocument: {
    synchronization: { didSave: true },
    publishDiagnostics: { relatedInformation: true, codeDescriptionSupport: true, dataSupport: true, versionSupport: true },
    hover: { contentFormat: ['markdown'] }, definition: { linkSupport: true }, references: {}, documentHighlight: {},
    rename: { prepareSupport: true }, documentSymbol: { hierarchicalDocumentSymbolSupport: true },
    completion: { completionItem: { snippetSupport: true, documentationFormat: ['markdown'] } },
    signatureHelp: { signatureInformation: { parameterInformation: { labelOffsetSupport: true } } },
    formatting: {}, rangeFormatting: {}, foldingRange: {}, selectionRange: {}, inlayHint: {}, codeLens: {},
    documentLink: { tooltipSupport: true },
    codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ['quickfix', 'refactor', 'source'] } }, dataSupport: true, resolveSupport: { properties: ['edit'] } },
    semanticTokens: {
      requests: { full: { delta: true }, range: true }, formats: ['relative'], tokenModifiers: ['declaration', 'documentation', 'readonly', 'deprecated', 'defaultLibrary'],
      tokenTypes: ['keyword', 'namespace', 'variable', 'enumMember', 'number', 'string', 'operator', 'comment', 'property', 'function', 'type'],
    },
  },
};

export class Session {
  /** Starts the server for `folders` and says hello. It is ended with the test. */
  static async start(t, folders, options = {}) {
    if (!existsSync(binary)) throw new Error(`${binary} is missing: build egressc, or set EGRESSC`);
    const session = new Session(options);
    t.after(() => session.kill());
    session.hello = await session.request(lsp.InitializeRequest.type, {
      processId: process.pid,
      rootUri: pathToFileURL(folders[0]).href,
      workspaceFolders: folders.map((path, index) => ({ uri: pathToFileURL(path).href, name: `folder ${index + 1}` })),
      capabilities: CAPABILITIES,
      initializationOptions: session.options,
    });
    await session.connection.sendNotification(lsp.InitializedNotification.type, {});
    return session;
  }

  constructor(options) {
    this.options = { inventory: [], units: [], asOf: null, strict: false, proofs: true, clientCommands: true, ...options };
    this.documents = new Map();
    this.diagnostics = new Map();
    this.waiting = new Set();
    this.stderr = '';
    this.process = spawn(binary, ['lsp'], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.process.stderr.on('data', data => (this.stderr += data));
    this.ended = new Promise(done => this.process.on('exit', (code, signal) => done(signal ?? code)));
    const reader = new lsp.StreamMessageReader(this.process.stdout);
    // Else a message that was cut off by the end of the server would be waited for without end.
    reader.partialMessageTimeout = 0;
    this.connection = lsp.createMessageConnection(reader, new lsp.StreamMessageWriter(this.process.stdin));
    this.connection.onRequest(lsp.ConfigurationRequest.type, ({ items }) =>
      items.map(item => (item.section === 'egress' ? this.options : null)));
    for (const type of ['client/registerCapability', 'client/unregisterCapability', 'window/workDoneProgress/create']) {
      this.connection.onRequest(type, () => null);
    }
    for (const type of ['codeLens', 'inlayHint', 'semanticTokens', 'diagnostic']) {
      this.connection.onRequest(`workspace/${type}/refresh`, () => null);
    }
    this.connection.onNotification(lsp.PublishDiagnosticsNotification.type, said => {
      this.diagnostics.set(said.uri, said);
      this.waiting.forEach(look => look());
    });
    this.connection.listen();
  }

  request(type, params, token) {
    return patient(this.connection.sendRequest(type, params, token), () => `an answer to ${type.method ?? type}: ${this.stderr}`);
  }

  notify(type, params) {
    return this.connection.sendNotification(type, params);
  }

  async open(path, text) {
    const document = { uri: pathToFileURL(path).href, text, version: 1 };
    this.documents.set(document.uri, document);
    await this.notify(lsp.DidOpenTextDocumentNotification.type, {
      textDocument: { uri: document.uri, languageId: 'egress', version: 1, text },
    });
    return document;
  }

  /** Replaces the first `before` in the document by `after`, as one small change. */
  async replace(document, before, after) {
    const at = document.text.indexOf(before);
    if (at < 0) throw new Error(`no ${before} in ${document.uri}`);
    const range = { start: position(document.text, at), end: position(document.text, at + before.length) };
    document.text = document.text.slice(0, at) + after + document.text.slice(at + before.length);
    document.version += 1;
    await this.notify(lsp.DidChangeTextDocumentNotification.type, {
      textDocument: { uri: document.uri, version: document.version }, contentChanges: [{ range, text: after }],
    });
  }

  /** The diagnostics of a document once they fit. */
  async diagnosed(document, fits) {
    let look;
    const found = new Promise(done => {
      look = () => {
        const said = this.diagnostics.get(document.uri);
        // What is said about an older text does not count.
        if (said !== undefined && (said.version ?? document.version) === document.version && fits(said.diagnostics)) done(said.diagnostics);
      };
      this.waiting.add(look);
      look();
    });
    try {
      return await patient(found, () => `diagnostics; the last were ${JSON.stringify(this.diagnostics.get(document.uri))}`);
    } finally {
      this.waiting.delete(look);
    }
  }

  /** Runs a command. */
  execute(command, argument) {
    return this.request(lsp.ExecuteCommandRequest.type, { command, arguments: [argument] });
  }

  /** Says goodbye; the server's exit code. */
  async quit() {
    await this.request(lsp.ShutdownRequest.type);
    await this.notify(lsp.ExitNotification.type);
    return patient(this.ended, () => 'the server to exit');
  }

  async kill() {
    this.connection.dispose();
    this.process.kill('SIGKILL');
    await this.ended;
  }
}

/** Where `text` has the offset. */
export function position(text, offset) {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length - 1, character: before.at(-1).length };
}

/** The place in a document just behind the start of the `nth` `needle`, plus `more`. */
export function placeOf(document, needle, nth = 0, more = 1) {
  let at = -1;
  for (let i = 0; i <= nth; i += 1) at = document.text.indexOf(needle, at + 1);
  if (at < 0) throw new Error(`no ${needle} in ${document.uri}`);
  return { textDocument: { uri: document.uri }, position: position(document.text, at + more) };
}

/** The text of a range of a document. */
export function textOf(document, range) {
  const offset = ({ line, character }) => document.text.split('\n').slice(0, line).reduce((sum, text) => sum + text.length + 1, character);
  return document.text.slice(offset(range.start), offset(range.end));
}

/** A document after the edits to it. */
export function edited(document, edits) {
  const offset = ({ line, character }) => document.text.split('\n').slice(0, line).reduce((sum, text) => sum + text.length + 1, character);
  return [...edits]
    .sort((a, b) => offset(b.range.start) - offset(a.range.start))
    .reduce((text, edit) => text.slice(0, offset(edit.range.start)) + edit.newText + text.slice(offset(edit.range.end)), document.text);
}

async function patient(promise, what) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited too long for ${what()}`)), PATIENCE);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
