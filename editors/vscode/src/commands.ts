// The commands of the palette and of code lenses: what to ask people, what to ask the server, what to show.
// The editor is a handful of functions, so that all of this runs without one.
import { TARGETS, checkDestination, checkSource, splitNames } from './answers.js';
import type { Question, Target } from './answers.js';
import { wordsOf } from './views.js';

/** What commands need of an editor. A question that is dismissed is answered `undefined`. */
export interface Editor {
  /** The file whose unit is meant when a command does not say. */
  activeFile(): string | undefined;
  ask(prompt: Prompt): Promise<string | undefined>;
  pick(title: string, choices: Choice[]): Promise<string | undefined>;
  /** Shows the answer to a question beside the editor. */
  show(question: Question): Promise<void>;
  complain(message: string): void;
  /** Lasting notes of this workspace. */
  remember(key: string, value: string): void;
  recall(key: string): string | undefined;
}

export interface Prompt {
  title: string;
  prompt: string;
  placeholder: string;
  value: string;
  check: (text: string) => string | undefined;
}

export interface Choice {
  label: string;
  description: string;
}

/** What a code lens or a key binding passes along. */
export interface Given {
  uri?: string;
  from?: string;
  to?: string;
}

/** Asks for what was not given, and shows what decides the flow. */
export async function explain(editor: Editor, given: Given = {}): Promise<void> {
  const uri = fileOf(editor, given);
  if (uri === undefined) return;
  const title = 'Explain a flow';
  const from = given.from ?? (await prompted(editor, 'from', {
    title, prompt: 'From which workload?', placeholder: 'shop/checkout, 10.9.0.7', check: checkSource,
  }));
  if (from === undefined) return;
  const to = given.to ?? (await prompted(editor, 'to', {
    title, prompt: 'To where?', placeholder: '192.0.2.7:443/tcp', check: checkDestination,
  }));
  if (to === undefined) return;
  const names = await prompted(editor, 'name', {
    title, prompt: 'Looked up by which names? Empty: by none', placeholder: 'api.example.com', check: () => undefined,
  });
  if (names === undefined) return;
  await shown(editor, { kind: 'explain', uri, from: from.trim(), to: to.trim(), name: splitNames(names) });
}

export async function coverage(editor: Editor, given: Given = {}): Promise<void> {
  const uri = fileOf(editor, given);
  if (uri !== undefined) await shown(editor, { kind: 'coverage', uri });
}

const ABOUT: Record<Target, string> = {
  nftables: 'a ruleset for `nft -f`',
  cilium: 'policies and gateways for Cilium',
  ebpf: 'a snapshot for egress-agent',
  'kube-vip': 'Services for kube-vip',
};

/** Asks for the target, the last one first, and shows what the unit compiles to. */
export async function compile(editor: Editor, given: Given = {}): Promise<void> {
  const uri = fileOf(editor, given);
  if (uri === undefined) return;
  const last = editor.recall('target');
  const targets = [...TARGETS].sort((a, b) => Number(b === last) - Number(a === last));
  const picked = await editor.pick('Compile to', targets.map(label => ({ label, description: ABOUT[label] })));
  const target = TARGETS.find(target => target === picked);
  if (target === undefined) return;
  editor.remember('target', target);
  await shown(editor, { kind: 'compile', uri, target });
}

function fileOf(editor: Editor, given: Given): string | undefined {
  const uri = given.uri ?? editor.activeFile();
  if (uri === undefined) editor.complain('Open an .egress file first: it says which policies are meant.');
  return uri;
}

/** Asks with the last answer filled in. What is dismissed is not remembered. */
async function prompted(editor: Editor, key: string, prompt: Omit<Prompt, 'value'>): Promise<string | undefined> {
  const answer = await editor.ask({ ...prompt, value: editor.recall(key) ?? '' });
  if (answer !== undefined) editor.remember(key, answer);
  return answer;
}

async function shown(editor: Editor, question: Question): Promise<void> {
  try {
    await editor.show(question);
  } catch (error) {
    editor.complain(wordsOf(error));
  }
}
