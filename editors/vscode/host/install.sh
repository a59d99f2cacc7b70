#!/bin/sh
# Installs VS Code as a server (code-server) from npm, of which only the one part that it does not start without is compiled.
#
# Scripts of packages do not run by themselves: they would fetch builds from elsewhere. Left out are terminals, search,
# logs in files, file watching by the system and Kerberos.
set -eu
cd "$(dirname "$0")"
# Node's headers, as Debian's and NodeSource's packages have them: nothing is downloaded.
npm_config_nodedir=${npm_config_nodedir:-/usr}
export npm_config_nodedir
npm ci --no-progress --loglevel=error
npm rebuild argon2 --ignore-scripts=false --loglevel=error
cd node_modules/code-server/lib/vscode
npm install --ignore-scripts --omit=dev --no-save --no-package-lock --no-progress --loglevel=error
