// What people set, and what of it the server is told. Knows nothing of VS Code: settings come through a function.

/** Reads one setting of the section `egress` by its name, like `server.path`. */
export type Setting = (name: string) => unknown;

/** What the server reads: as `initializationOptions`, and again whenever it asks for the configuration. */
export interface ServerOptions {
  inventory: string[];
  units: string[];
  asOf: string | null;
  strict: boolean;
  proofs: boolean;
  clientCommands: boolean;
}

export function serverOptions(setting: Setting): ServerOptions {
  const asOf = text(setting('asOf')).trim();
  return {
    inventory: texts(setting('inventory')),
    units: texts(setting('units')),
    asOf: asOf === '' ? null : asOf,
    strict: setting('strict') === true,
    proofs: setting('proofs') !== false,
    clientCommands: true,
  };
}

/** How the server is called, before its binary is looked for. */
export interface ServerCall {
  path: string;
  arguments: string[];
}

export function serverCall(setting: Setting): ServerCall {
  const given = setting('server.arguments');
  return {
    path: text(setting('server.path')).trim() || 'egressc',
    arguments: Array.isArray(given) ? texts(given) : ['lsp'],
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : [];
}
