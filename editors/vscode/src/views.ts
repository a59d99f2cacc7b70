// Read-only texts beside the editor: which there are, what they hold, when they are made anew. The editor shows them.
import { createHash } from 'node:crypto';

import type { Answer, Question, Target } from './answers.js';

export const SCHEME = 'egress';

/** Where a text stands: what its tab shows, and a key of letters and digits that tells equal titles apart. */
export interface Address {
  title: string;
  key: string;
}

/** One text and the question that it answers. */
interface View {
  title: string;
  question: Question;
  answer: Answer;
}

export class Views {
  private readonly views = new Map<string, View>();

  /** `ask` answers questions; `changed` is told the address of a text that is another now. */
  constructor(
    private readonly ask: (question: Question) => Promise<Answer>,
    private readonly changed: (address: Address) => void,
  ) {}

  /** Answers `question` and keeps the answer under the address that is returned. */
  async open(question: Question): Promise<{ address: Address; language: string }> {
    const answer = await this.ask(question);
    const key = keyOf(question);
    // Its tab keeps its name, whatever a later answer is called: an address never changes.
    const title = this.views.get(key)?.title ?? titleOf(question, answer);
    this.put(key, { title, question, answer });
    return { address: { title, key }, language: answer.language };
  }

  /** The text with this key; undefined if there is none, as after the window was loaded anew. */
  text(key: string): string | undefined {
    return this.views.get(key)?.answer.text;
  }

  forget(key: string): void {
    this.views.delete(key);
  }

  /**
   * Asks all questions again but those about single flows. A refused one shows why in place of its text: an old
   * ruleset beside a new policy would be believed.
   */
  async refresh(): Promise<void> {
    const stale = [...this.views].filter(([, view]) => view.question.kind !== 'explain');
    await Promise.all(stale.map(async ([key, view]) => {
      const answer = await this.ask(view.question).catch((error: unknown) => refused(view.answer, error));
      // It may have been closed meanwhile.
      if (this.views.has(key)) this.put(key, { ...view, answer });
    }));
  }

  private put(key: string, view: View): void {
    const before = this.views.get(key);
    this.views.set(key, view);
    if (before !== undefined && before.answer.text !== view.answer.text) this.changed({ title: view.title, key });
  }
}

/** The message of an error, in its own words. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refused(answer: Answer, error: unknown): Answer {
  const lines = wordsOf(error).split('\n').map(line => `# ${line}`.trimEnd());
  return { ...answer, text: `# There is no answer for the files as they were saved last:\n${lines.join('\n')}\n` };
}

const ENDINGS: Record<Target, string> = { nftables: '.nft', cilium: '.yaml', ebpf: '.txt', 'kube-vip': '.yaml' };

/** What the tab shows: the answer's title, with the ending by which people know such files. */
function titleOf(question: Question, answer: Answer): string {
  const title = answer.title.replaceAll(/[/\\]/g, '∕');
  const ending = question.kind === 'compile' ? ENDINGS[question.target] : '';
  return title.endsWith(ending) ? title : title + ending;
}

function keyOf(question: Question): string {
  return createHash('sha256').update(JSON.stringify(question)).digest('hex').slice(0, 16);
}
