// The TextMate grammar: fixtures against their snapshots, every file of `testdata`, and the compiler's own lists of words.
//
// `node --test test/grammar.test.mjs` compares; with UPDATE=1 it writes the snapshots anew.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';

import { egressFiles } from './support/files.mjs';
import { extension, loadGrammar, repository, tokenize } from './support/textmate.mjs';

const grammar = await loadGrammar();
const fixtures = join(extension, 'test', 'grammar');
const testdata = join(repository, 'testdata');

const isBlank = token => token.text.trim() === '';
const isInvalid = token => token.scopes.some(scope => scope.startsWith('invalid.'));
/** A scope that a theme colours; `meta.` ones only say where one is. */
const isScoped = token => token.scopes.some(scope => !scope.startsWith('meta.'));

function render(text) {
  const lines = text.replace(/\n$/, '').split('\n');
  return tokenize(grammar, lines.join('\n'))
    .map((tokens, index) => {
      const said = tokens.filter(token => !isBlank(token)).map(token => `  ${token.text.trim()}  ${token.scopes.join(' ')}\n`);
      return `${lines[index]}\n${said.join('')}`;
    })
    .join('');
}

const fixtureFiles = readdirSync(fixtures).filter(name => name.endsWith('.egress')).sort();
assert.ok(fixtureFiles.length >= 8, 'too few fixtures');

for (const name of fixtureFiles) {
  test(`fixture ${name}`, () => {
    const rendered = render(readFileSync(join(fixtures, name), 'utf8'));
    const snapshot = join(fixtures, `${basename(name, '.egress')}.snap`);
    if (process.env.UPDATE) writeFileSync(snapshot, rendered);
    assert.ok(existsSync(snapshot), `${snapshot} is missing: look at what UPDATE=1 writes`);
    assert.equal(rendered, readFileSync(snapshot, 'utf8'));
  });
}

/** Files that the compiler reads without a syntax error: all but `syntax/err`. */
const accepted = egressFiles(testdata).filter(path => !path.includes('/syntax/err/'));

test('accepted files have a scope for every word, and nothing invalid', () => {
  assert.ok(accepted.length > 40, `only ${accepted.length} files`);
  const wrong = [];
  for (const path of accepted) {
    tokenize(grammar, readFileSync(path, 'utf8')).forEach((tokens, line) => {
      for (const token of tokens.filter(token => !isBlank(token))) {
        if (isInvalid(token) || !isScoped(token)) wrong.push(`${path}:${line + 1}: ${token.text} ${token.scopes.join(' ')}`);
      }
    });
  }
  assert.deepEqual(wrong, []);
});

test('what no file can hold is shown as invalid', () => {
  const text = readFileSync(join(testdata, 'syntax', 'err', 'characters.egress'), 'utf8');
  const invalid = tokenize(grammar, text).flat().filter(isInvalid);
  assert.ok(invalid.length >= 3, `only ${invalid.length} invalid tokens`);
});

/** The words of `const NAME: [&str; N] = […]` in a file of the compiler's grammar. */
function words(file, name) {
  const text = readFileSync(join(repository, 'lang', 'src', 'grammar', file), 'utf8');
  const list = new RegExp(`const ${name}: \\[&str; (\\d+)\\] =\\s*\\[([^\\]]*)\\]`).exec(text);
  assert.ok(list, `no ${name} in ${file}`);
  const found = [...list[2].matchAll(/"([^"]+)"/g)].map(match => match[1]);
  assert.equal(found.length, Number(list[1]));
  return found;
}

/** The scopes of the `nth` word `word` in `text`. */
function scopesOf(text, word, nth = 0) {
  const tokens = tokenize(grammar, text).flat().filter(token => token.text.trim() === word);
  assert.ok(tokens.length > nth, `no ${word} in ${text}`);
  return tokens[nth].scopes.join(' ');
}

test('every word that starts a declaration is a keyword of declarations', () => {
  const samples = {
    cluster: 'cluster c {}', workloads: 'workloads w = all', destinations: 'destinations d = world', ports: 'ports p = any',
    gateway: 'gateway g {}', policy: 'policy p {}', guardrail: 'guardrail g {}', assert: 'assert all cannot reach world',
    control: 'control "a" "b" {}',
  };
  assert.deepEqual(words('sync.rs', 'DECLARATIONS').sort(), Object.keys(samples).sort());
  for (const [word, text] of Object.entries(samples)) assert.match(scopesOf(text, word), /^keyword\.declaration\./, word);
});

test('every word that starts an entry or a clause is a keyword in a policy', () => {
  const entries = { for: 'for all', owner: 'owner "x"', mode: 'mode audit', allow: 'allow world', deny: 'deny world' };
  assert.deepEqual(words('sync.rs', 'POLICY_ENTRIES').sort(), Object.keys(entries).sort());
  for (const [word, text] of Object.entries(entries)) {
    assert.match(scopesOf(`policy p { ${text} }`, word), /^keyword\.(other\.setting|control)\./, word);
  }
  const clauses = {
    on: 'on tcp', via: 'via g', log: 'log', because: 'because "x"', ticket: 'ticket "x"', until: 'until 2027-01-01',
  };
  assert.deepEqual(words('sync.rs', 'RULE_CLAUSES').sort(), Object.keys(clauses).sort());
  for (const [word, text] of Object.entries(clauses)) {
    assert.match(scopesOf(`policy p { for all allow x ${text} }`, word), /^(keyword\.other\.clause|storage\.modifier)\./, word);
  }
});

test('every reserved word that is a term looks like one', () => {
  const lines = {
    'workload.rs': word => [`workloads w = ${{ pods: 'pods(a)', address: 'address ::1' }[word] ?? word}`, ['all', 'pods', 'address']],
    'destination.rs': word => [
      `destinations d = ${{ host: 'host a.b', list: 'list "x"' }[word] ?? word}`, ['host', 'list', 'world', 'private'],
    ],
    'port.rs': word => [`ports p = ${word}`, ['any', 'tcp', 'udp', 'sctp', 'icmp', 'icmpv6']],
  };
  for (const [file, sample] of Object.entries(lines)) {
    for (const word of words(file, 'RESERVED')) {
      const [text, terms] = sample(word);
      if (terms.includes(word)) assert.match(scopesOf(text, word), /(^| )(support|constant\.language)\./, word);
      else assert.match(scopesOf(`policy p { for all except all allow all on tcp via g deny x } assert only a can reach b assert a cannot reach b`, word), /^keyword\./, word);
    }
  }
});

test('a keyword in the place of a name is a name', () => {
  assert.match(scopesOf('workloads policy = all', 'policy'), /^entity\.name/);
  assert.match(scopesOf('policy p { for policy allow log, log log on because }', 'policy', 1), /^variable/);
  assert.match(scopesOf('policy p { for all allow a, log log }', 'log', 0), /^variable/);
  assert.match(scopesOf('policy p { for all allow a, log log }', 'log', 1), /^storage/);
  assert.match(scopesOf('policy p { for all allow a on because }', 'because'), /^variable/);
});
