// The grammar in the engine that VS Code uses: text in, lines of tokens with their scopes out.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const textmate = require('vscode-textmate');
const oniguruma = require('vscode-oniguruma');

export const extension = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const repository = join(extension, '..', '..');

/** The scope that every character of a file has. */
const ROOT = 'source.egress';

export async function loadGrammar() {
  const wasm = join(dirname(require.resolve('vscode-oniguruma/package.json')), 'release', 'onig.wasm');
  await oniguruma.loadWASM(readFileSync(wasm).buffer);
  const path = join(extension, 'syntaxes', 'egress.tmLanguage.json');
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: patterns => new oniguruma.OnigScanner(patterns),
      createOnigString: text => new oniguruma.OnigString(text),
    }),
    loadGrammar: async scope => (scope === ROOT ? textmate.parseRawGrammar(readFileSync(path, 'utf8'), path) : null),
  });
  return registry.loadGrammar(ROOT);
}

/** Each line of `text` as `[{ text, scopes }]`, the root scope left out. */
export function tokenize(grammar, text) {
  let state = textmate.INITIAL;
  return text.split('\n').map(line => {
    const result = grammar.tokenizeLine(line, state);
    state = result.ruleStack;
    return result.tokens
      .map(token => ({
        text: line.slice(token.startIndex, token.endIndex),
        scopes: token.scopes.filter(scope => scope !== ROOT),
      }))
      .filter(token => token.text !== '');
  });
}
