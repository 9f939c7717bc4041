import { isCanceled, isRefusal } from '../database/coded-error.js';

interface Waiting<Question, Answer> {
  question: Question;
  promise: Promise<Answer>;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

// More would only make smaller batches.
const maxQueries = 2;
// A query that takes longer does not count any more: what is asked meanwhile does not wait for it. But only so many.
const slowMs = 100;
const maxSlowQueries = 4;

/**
 * Whatever is asked in one turn of the event loop, or while queries are under way, goes into one query, and equal
 * questions into one part of it. A query always starts after the questions that it answers: each sees every publish
 * acknowledged before it.
 */
export class QueryBatcher<Question, Answer> {
  #waiting = new Map<string, Waiting<Question, Answer>>();
  #queries = 0;
  #slowQueries = 0;
  #scheduled = false;

  constructor(
    /** Answers in the order of the questions. */
    private readonly query: (questions: readonly Question[]) => Promise<readonly Answer[]>,
    /** So many questions go into a query. */
    private readonly max: number,
  ) {}

  /** Questions with the same key are the same. */
  ask(key: string, question: Question): Promise<Answer> {
    let waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      let resolve: (answer: Answer) => void = () => {};
      let reject: (error: unknown) => void = () => {};
      const promise = new Promise<Answer>((onAnswer, onError) => {
        resolve = onAnswer;
        reject = onError;
      });
      waiting = { question, promise, resolve, reject };
      this.#waiting.set(key, waiting);
      this.#schedule();
    }
    return waiting.promise;
  }

  #schedule(): void {
    if (this.#scheduled || this.#queries >= maxQueries) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#start();
    });
  }

  async #start(): Promise<void> {
    const batch: Waiting<Question, Answer>[] = [];
    for (const [key, waiting] of this.#waiting) {
      if (batch.length === this.max) break;
      batch.push(waiting);
      this.#waiting.delete(key);
    }
    this.#queries++;
    if (this.#waiting.size > 0) this.#schedule();
    let isSlow = false;
    const timer = setTimeout(() => {
      if (this.#slowQueries === maxSlowQueries) return;
      isSlow = true;
      this.#slowQueries++;
      this.#queries--;
      if (this.#waiting.size > 0) this.#schedule();
    }, slowMs);
    await this.#answer(batch);
    clearTimeout(timer);
    if (isSlow) this.#slowQueries--;
    else this.#queries--;
    if (this.#waiting.size > 0) this.#schedule();
  }

  /** Questions that Postgres refuses are asked again in halves: none fails for another. */
  async #answer(batch: readonly Waiting<Question, Answer>[]): Promise<void> {
    try {
      const answers = await this.query(batch.map(({ question }) => question));
      for (const [i, answer] of answers.entries()) batch[i]?.resolve(answer);
    } catch (error) {
      if (batch.length > 1 && (isRefusal(error) || isCanceled(error))) {
        const half = batch.length >> 1;
        await Promise.all([this.#answer(batch.slice(0, half)), this.#answer(batch.slice(half))]);
      } else {
        for (const { reject } of batch) reject(error);
      }
    }
  }
}
