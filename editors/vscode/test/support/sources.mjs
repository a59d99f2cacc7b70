// The extension's own modules, as it is built of them: everything but the glue to VS Code runs in Node.
import { build, stop } from 'esbuild';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { extension } from './textmate.mjs';

/** Builds the modules of `src` that know no editor, and loads them as one. */
export async function loadSources() {
  const folder = mkdtempSync(join(tmpdir(), 'egress-extension-'));
  const outfile = join(folder, 'sources.mjs');
  const names = ['answers', 'binary', 'commands', 'settings', 'views'];
  try {
    await build({
      stdin: { contents: names.map(name => `export * from './src/${name}.ts';`).join('\n'), resolveDir: extension, loader: 'ts' },
      bundle: true, platform: 'node', format: 'esm', target: 'node18', outfile, logLevel: 'warning',
    });
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
    // Its process would keep this one alive now and then.
    await stop();
  }
}

/** An editor for `commands` that answers from a script and keeps what it was told. */
export class ScriptedEditor {
  constructor(views, answers) {
    this.views = views;
    this.answers = [...answers];
    this.file = undefined;
    this.asked = [];
    this.shown = [];
    this.complaints = [];
    this.notes = new Map();
  }
  activeFile() { return this.file; }
  async ask(prompt) { this.asked.push(prompt); return this.answer(); }
  async pick(title, choices) { this.asked.push({ title, choices }); return this.answer(); }
  answer() {
    if (this.answers.length === 0) throw new Error('a question that the test has no answer for');
    return this.answers.shift();
  }
  async show(question) { this.shown.push(await this.views.open(question)); }
  complain(message) { this.complaints.push(message); }
  remember(key, value) { this.notes.set(key, value); }
  recall(key) { return this.notes.get(key); }
}
