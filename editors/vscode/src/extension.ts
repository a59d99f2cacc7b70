// The thin glue to VS Code: starts the client, registers commands, shows texts. What decides anything is elsewhere.
import { homedir } from 'node:os';
import * as vscode from 'vscode';
import { ExecuteCommandRequest, LanguageClient, RevealOutputChannelOn, State } from 'vscode-languageclient/node';
import type { ConfigurationParams, LanguageClientOptions } from 'vscode-languageclient/node';

import { ask } from './answers.js';
import type { Answer, Question } from './answers.js';
import { findBinary } from './binary.js';
import * as commands from './commands.js';
import { serverCall, serverOptions } from './settings.js';
import { SCHEME, Views } from './views.js';
import type { Address } from './views.js';

let client: LanguageClient | undefined;
let output: vscode.LogOutputChannel;
/** Starts and stops follow each other: two at once would leave two servers. */
let work: Promise<void> = Promise.resolve();

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  output = vscode.window.createOutputChannel('Egress', { log: true });
  const changed = new vscode.EventEmitter<vscode.Uri>();
  const views = new Views(askServer, address => changed.fire(uriOf(address)));
  const editor = editorOf(context, views);
  const restart = (): Promise<void> => (work = work.then(stop).then(start).catch(report));
  context.subscriptions.push(
    output,
    changed,
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
      onDidChange: changed.event,
      provideTextDocumentContent: uri =>
        views.text(uri.query) ?? '# This was made before the window was loaded anew. Close it, and ask again.\n',
    }),
    vscode.workspace.onDidCloseTextDocument(document => {
      if (document.uri.scheme === SCHEME) views.forget(document.uri.query);
    }),
    vscode.workspace.onDidSaveTextDocument(document => {
      if (document.languageId === 'egress') void views.refresh();
    }),
    vscode.commands.registerCommand('egress.explain', (given?: unknown) => commands.explain(editor, givenOf(given))),
    vscode.commands.registerCommand('egress.coverage', (given?: unknown) => commands.coverage(editor, givenOf(given))),
    vscode.commands.registerCommand('egress.compile', (given?: unknown) => commands.compile(editor, givenOf(given))),
    vscode.commands.registerCommand('egress.restart', restart),
    vscode.commands.registerCommand('egress.output', () => output.show()),
    vscode.workspace.onDidChangeConfiguration(event => {
      if (event.affectsConfiguration('egress.server')) void restart();
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
  );
  await restart();
}

export async function deactivate(): Promise<void> {
  await (work = work.then(stop));
}

async function start(): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    output.info('the workspace is not trusted: no server is started');
    return;
  }
  const call = serverCall(settings());
  const found = await findBinary(call.path, {
    folder: vscode.workspace.workspaceFolders?.find(folder => folder.uri.scheme === 'file')?.uri.fsPath,
    home: homedir(),
    path: process.env['PATH'] ?? '',
    windows: process.platform === 'win32',
  });
  if ('missing' in found) {
    offerSettings(found.missing);
    return;
  }
  output.info(`starting ${found.path} ${call.arguments.join(' ')}`);
  const starting = new LanguageClient('egress', 'Egress', { command: found.path, args: call.arguments }, clientOptions());
  client = starting;
  await starting.start();
}

async function stop(): Promise<void> {
  const stopping = client;
  client = undefined;
  // A server that failed to start cannot be stopped, and need not be.
  if (stopping?.state === State.Running) await stopping.stop();
  await stopping?.dispose().catch(() => undefined);
}

function report(error: unknown): void {
  output.error(error instanceof Error ? error : String(error));
  void vscode.window.showErrorMessage('Egress: the server did not start.', 'Show Output').then(pressed => {
    if (pressed !== undefined) output.show();
  });
}

function offerSettings(why: string): void {
  output.error(why);
  const message = `Egress: ${why}. Build or install egressc, or say where it is.`;
  void vscode.window.showErrorMessage(message, 'Open Settings').then(pressed => {
    if (pressed !== undefined) void vscode.commands.executeCommand('workbench.action.openSettings', 'egress.server.path');
  });
}

function settings(resource?: vscode.Uri): (name: string) => unknown {
  const section = vscode.workspace.getConfiguration('egress', resource ?? null);
  return name => section.get(name);
}

function clientOptions(): LanguageClientOptions {
  return {
    documentSelector: [{ scheme: 'file', language: 'egress' }],
    initializationOptions: serverOptions(settings()),
    outputChannel: output,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    synchronize: { configurationSection: 'egress' },
    middleware: {
      workspace: {
        // The server gets what it reads, as it reads it, and nothing else that is in our section.
        configuration: (params: ConfigurationParams) =>
          params.items.map(item =>
            item.section === 'egress'
              ? serverOptions(settings(item.scopeUri === undefined ? undefined : vscode.Uri.parse(item.scopeUri)))
              : null,
          ),
      },
    },
  };
}

async function askServer(question: Question): Promise<Answer> {
  await work;
  const running = client;
  if (running?.state !== State.Running) throw new Error('Egress: no server is running. See Egress: Show Server Output.');
  return ask(
    (command, argument) => running.sendRequest(ExecuteCommandRequest.type, { command, arguments: [argument] }),
    question,
  );
}

function editorOf(context: vscode.ExtensionContext, views: Views): commands.Editor {
  return {
    activeFile: () => {
      const active = vscode.window.activeTextEditor?.document;
      const shown = [active, ...vscode.window.visibleTextEditors.map(editor => editor.document)];
      return shown.find(document => document?.languageId === 'egress' && document.uri.scheme === 'file')?.uri.toString();
    },
    ask: async ({ title, prompt, placeholder, value, check }) =>
      vscode.window.showInputBox({
        title, prompt, value, placeHolder: placeholder, ignoreFocusOut: true, validateInput: check,
      }),
    pick: async (title, choices) => (await vscode.window.showQuickPick(choices, { title }))?.label,
    show: question => show(views, question),
    complain: message => void vscode.window.showErrorMessage(message),
    remember: (key, value) => void context.workspaceState.update(key, value),
    recall: key => context.workspaceState.get<string>(key),
  };
}

async function show(views: Views, question: Question): Promise<void> {
  const progress = { location: vscode.ProgressLocation.Window, title: 'egressc' };
  const { address, language } = await vscode.window.withProgress(progress, () => views.open(question));
  const document = await vscode.workspace.openTextDocument(uriOf(address));
  const known = await vscode.languages.getLanguages();
  // A language that nobody installed, like nftables, is shown plain.
  if (known.includes(language)) await vscode.languages.setTextDocumentLanguage(document, language);
  await vscode.window.showTextDocument(document, {
    viewColumn: vscode.ViewColumn.Beside, preview: true, preserveFocus: true,
  });
}

/** The tab shows the last part of the path. */
function uriOf({ title, key }: Address): vscode.Uri {
  return vscode.Uri.from({ scheme: SCHEME, path: `/${title}`, query: key });
}

/** What a code lens passes; the context menu passes an address instead. */
function givenOf(given: unknown): commands.Given {
  if (given instanceof vscode.Uri) return { uri: given.toString() };
  return typeof given === 'object' && given !== null ? (given as commands.Given) : {};
}
