// Photographs a sample in the colours that the TextMate grammar gives it: `screenshots.mjs FOLDER [SAMPLE]`.
// The browser is Debian's (`BROWSER`), and nothing of it leaves this machine or is kept.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { extension, loadGrammar } from '../test/support/textmate.mjs';

const { INITIAL } = createRequire(import.meta.url)('vscode-textmate');

/** Colours by scope; the longest scope that fits says which. */
const THEMES = {
  light: {
    page: '#e9ecf1', window: '#ffffff', bar: '#f3f4f7', line: '#dfe3ea', text: '#22272e', number: '#a5acb8', title: '#4b5563',
    scopes: {
      'comment': '#7d8590 italic', 'comment.line.documentation': '#3f7d4e italic', 'keyword.declaration': '#7c3aad bold',
      'keyword.control.allow': '#15803d bold', 'keyword.control.deny': '#c0263c bold', 'keyword': '#7c3aad',
      'keyword.operator': '#57606a', 'keyword.operator.word': '#7c3aad', 'keyword.other.property': '#0550ae',
      'storage.modifier': '#7c3aad', 'entity.name.type': '#953800 bold', 'entity.other.attribute-name': '#0550ae',
      'variable.other': '#22272e', 'variable.other.gateway': '#953800', 'constant.numeric': '#0a7ea4',
      'constant.language': '#0550ae bold', 'support.function': '#8250df', 'support.type': '#0a7ea4', 'string': '#0f6b4f',
      'string.unquoted': '#0f6b4f', 'punctuation': '#6e7781', 'constant.character.escape': '#b35900', 'invalid': '#c0263c',
    },
  },
  dark: {
    page: '#0b0e13', window: '#15191f', bar: '#1b2028', line: '#262c36', text: '#d7dce3', number: '#4c5563', title: '#9aa4b2',
    scopes: {
      'comment': '#7a8494 italic', 'comment.line.documentation': '#7fb686 italic', 'keyword.declaration': '#c792ea bold',
      'keyword.control.allow': '#6fcf83 bold', 'keyword.control.deny': '#ff7b85 bold', 'keyword': '#c792ea',
      'keyword.operator': '#9aa4b2', 'keyword.operator.word': '#c792ea', 'keyword.other.property': '#7cb7ff',
      'storage.modifier': '#c792ea', 'entity.name.type': '#ffb86b bold', 'entity.other.attribute-name': '#7cb7ff',
      'variable.other': '#d7dce3', 'variable.other.gateway': '#ffb86b', 'constant.numeric': '#6cd3e8',
      'constant.language': '#7cb7ff bold', 'support.function': '#b9a3ff', 'support.type': '#6cd3e8', 'string': '#8fd9a8',
      'string.unquoted': '#8fd9a8', 'punctuation': '#8a94a3', 'constant.character.escape': '#ffb86b', 'invalid': '#ff7b85',
    },
  },
};

const [folder, given] = process.argv.slice(2);
if (folder === undefined) throw new Error('say where the pictures go');
const sample = readFileSync(given ?? join(extension, 'scripts', 'sample.egress'), 'utf8').trimEnd();
const grammar = await loadGrammar();
for (const [name, theme] of Object.entries(THEMES)) photograph(page(sample, theme), resolve(folder, `editor-${name}.png`));

/** The style of a token: of its innermost scope that the theme knows. */
function style(scopes, theme) {
  for (const scope of [...scopes].reverse()) {
    const known = Object.keys(theme.scopes).filter(key => scope === key || scope.startsWith(`${key}.`));
    const best = known.sort((a, b) => b.length - a.length)[0];
    if (best !== undefined) {
      const [colour, ...words] = theme.scopes[best].split(' ');
      const css = { bold: 'font-weight:600', italic: 'font-style:italic' };
      return [`color:${colour}`, ...words.map(word => css[word])].join(';');
    }
  }
  return '';
}

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function page(text, theme) {
  let state = INITIAL;
  const lines = text.split('\n').map((line, index) => {
    const result = grammar.tokenizeLine(line, state);
    state = result.ruleStack;
    const spans = result.tokens.map(
      token => `<span style="${style(token.scopes, theme)}">${escaped(line.slice(token.startIndex, token.endIndex))}</span>`,
    );
    return `<tr><td class="n">${index + 1}</td><td>${spans.join('')}</td></tr>`;
  });
  const icon = readFileSync(join(extension, 'icons', 'file.svg'), 'utf8');
  return `<!doctype html><meta charset="utf-8"><style>
    body { margin: 0; padding: 28px; background: ${theme.page}; }
    .window { background: ${theme.window}; border: 1px solid ${theme.line}; border-radius: 10px; overflow: hidden; }
    .bar { background: ${theme.bar}; border-bottom: 1px solid ${theme.line}; }
    .tab { display: inline-flex; align-items: center; gap: 8px; padding: 9px 18px 9px 14px; background: ${theme.window};
      border-right: 1px solid ${theme.line}; color: ${theme.title}; font: 13px 'DejaVu Sans', sans-serif; }
    .tab svg { width: 16px; height: 16px; }
    table { margin: 12px 0; border-spacing: 0; color: ${theme.text}; font: 14px/21px 'DejaVu Sans Mono', monospace; }
    td { padding: 0; white-space: pre; }
    .n { width: 34px; padding: 0 18px 0 10px; color: ${theme.number}; text-align: right; }
  </style><div class="window"><div class="bar"><span class="tab">${icon}shop.egress</span></div><table>${lines.join('')}</table></div>`;
}

function photograph(html, path) {
  const profile = mkdtempSync(join(tmpdir(), 'egress-picture-'));
  try {
    const file = join(profile, 'page.html');
    writeFileSync(file, html);
    const height = sample.split('\n').length * 21 + 56 + 24 + 36;
    const taken = spawnSync(process.env.BROWSER ?? 'chromium', [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--hide-scrollbars', `--user-data-dir=${join(profile, 'browser')}`,
      `--window-size=780,${height}`, '--force-device-scale-factor=1.4', `--screenshot=${path}`, `file://${file}`,
    ], { encoding: 'utf8', timeout: 60_000 });
    if (taken.status !== 0) throw new Error(`the browser failed: ${taken.error ?? taken.stderr}`);
    console.log(path);
  } finally {
    rmSync(profile, { recursive: true, force: true });
  }
}
