// Bundles the extension into `dist/`: one script, and the licences of the packages that it contains.
import { build } from 'esbuild';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { metafile } = await build({
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.js',
  bundle: true,
  platform: 'node',
  target: 'node18',
  format: 'cjs',
  external: ['vscode'],
  minify: true,
  metafile: true,
  legalComments: 'none',
  logLevel: 'warning',
});

const packages = Object.keys(metafile.inputs).flatMap(path => {
  const within = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path);
  return within ? [within[1]] : [];
});
const notices = [...new Set(packages)].sort().map(folder => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find(name => /^licen[cs]e/i.test(name));
  if (file === undefined) throw new Error(`${name} comes without the text of its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
writeFileSync('dist/third-party-licenses.txt', notices.join('\n----\n\n'));
