// Finds the server's binary. Looks at the disk and at the environment that it is handed, and starts nothing.
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';

/** Where a binary is looked for. */
export interface Place {
  /** The first folder of the workspace, if there is one. */
  folder: string | undefined;
  home: string;
  /** The search path, as in `PATH`. */
  path: string;
  /** Whether names of programs end in `.exe`. */
  windows: boolean;
}

/** The binary's path, or why there is none, in words for people. */
export type Found = { path: string } | { missing: string };

export async function findBinary(setting: string, place: Place): Promise<Found> {
  const wanted = expand(setting, place);
  if (wanted === undefined) return { missing: `\`${setting}\` needs an open folder` };
  if (!isPath(wanted)) return lookUp(wanted, place);
  const path = isAbsolute(wanted) ? wanted : resolve(place.folder ?? place.home, wanted);
  return (await executable(path, place)) ?? { missing: `\`${path}\` is not a program that can be run` };
}

function isPath(text: string): boolean {
  return text.includes('/') || text.includes('\\');
}

function expand(text: string, place: Place): string | undefined {
  const home = text === '~' || text.startsWith('~/') ? place.home + text.slice(1) : text;
  if (!home.includes('${workspaceFolder}')) return home;
  return place.folder === undefined ? undefined : home.replaceAll('${workspaceFolder}', place.folder);
}

async function lookUp(name: string, place: Place): Promise<Found> {
  // An empty entry would mean the current folder, which nobody wants to run programs from.
  for (const folder of place.path.split(delimiter).filter(folder => folder !== '')) {
    const found = await executable(join(folder, name), place);
    if (found) return found;
  }
  return { missing: `\`${name}\` was not found in PATH` };
}

async function executable(path: string, place: Place): Promise<{ path: string } | undefined> {
  const names = place.windows && !path.endsWith('.exe') ? [`${path}.exe`, path] : [path];
  for (const name of names) {
    try {
      await access(name, constants.X_OK);
      if ((await stat(name)).isFile()) return { path: name };
    } catch {
      // Not there, or not to be run: the next name may be.
    }
  }
  return undefined;
}
