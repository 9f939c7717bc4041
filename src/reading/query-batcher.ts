import { isCanceled, isRefusal } from '../database/coded-error.js';

interface Waiting<Question, Answer> {
  question: Question;
  promise: Promise<Answer>;
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
}

// Queries under way at a time. More would only make the batches smaller.
const maxQueries = 2;
// A query that takes longer than slowMs is no longer counted as under way, so that later questions do not wait for it.
// At most maxSlowQueries are left out of the count.
const slowMs = 100;
const maxSlowQueries = 4;

/**
 * Puts the questions asked in one turn of the event loop, or while queries are under way, into one query, and equal
 * questions into one part of it. A query always starts after the questions that it answers, so each question sees every
 * publish acknowledged before it.
 */
export class QueryBatcher<Question, Answer> {
  #waiting = new Map<string, Waiting<Question, Answer>>();
  #queries = 0;
  #slowQueries = 0;
  #scheduled = false;

  constructor(
    /** Resolves to the answers, in the order of the questions. */
    private readonly query: (questions: readonly Question[]) => Promise<readonly Answer[]>,
    /** Maximum number of questions in a query. */
    private readonly max: number,
  ) {}

  /** Resolves to the answer. Questions with the same key are the same question. */
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

  /**
   * If Postgres refuses or cancels a query, its questions are asked again in halves, so that none fails because of
   * another.
   */
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
