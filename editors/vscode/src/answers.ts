// What people ask the server for, and how: questions in, titled texts out. Knows neither VS Code nor a transport.

/** A text that the server made for people. */
export interface Answer {
  title: string;
  /** The language to show it in, by its VS Code identifier. */
  language: string;
  text: string;
}

export const TARGETS = ['nftables', 'cilium', 'ebpf', 'kube-vip'] as const;
export type Target = (typeof TARGETS)[number];

/** What to ask about the file `uri`, or about the unit that it is part of. */
export type Question =
  | { kind: 'explain'; uri: string; from: string; to: string; name: string[] }
  | { kind: 'coverage'; uri: string }
  | { kind: 'compile'; uri: string; target: Target };

/** Runs one of the server's commands (`workspace/executeCommand`). */
export type Execute = (command: string, argument: object) => Promise<unknown>;

/** Asks. The error of a refused question has the server's own words, which are for people. */
export async function ask(execute: Execute, question: Question): Promise<Answer> {
  const { kind, ...argument } = question;
  // Without names, none are sent: an empty list would say that the destination was looked up by no name.
  if ('name' in argument && argument.name.length === 0) delete (argument as { name?: string[] }).name;
  const answer = await execute(`egress.server.${kind}`, argument);
  if (!isAnswer(answer)) throw new Error(`the server's answer to \`egress.server.${kind}\` is of no known form`);
  return answer;
}

function isAnswer(value: unknown): value is Answer {
  if (typeof value !== 'object' || value === null) return false;
  const { title, language, text } = value as Partial<Record<keyof Answer, unknown>>;
  return typeof title === 'string' && typeof language === 'string' && typeof text === 'string';
}

/** The names typed into one line, apart by commas or spaces. */
export function splitNames(text: string): string[] {
  return text.split(/[\s,]+/).filter(name => name !== '');
}

/** What is wrong with the address and port of a flow while it is typed; undefined if nothing is. */
export function checkDestination(text: string): string | undefined {
  if (text.trim() === '') return 'say where to, like 192.0.2.7:443/tcp';
  return undefined;
}

export function checkSource(text: string): string | undefined {
  return text.trim() === '' ? 'say who, like shop/checkout or 10.9.0.7' : undefined;
}
