// Files of the repository that tests look at.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Every `.egress` file below `folder`, sorted. */
export function egressFiles(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap(entry => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return egressFiles(path);
      return entry.name.endsWith('.egress') ? [path] : [];
    })
    .sort();
}
