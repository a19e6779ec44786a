/*
 * Faye's promises with extra names, and its errors. Returned by publish, subscribe and disconnect.
 */
import { BayeuxError } from "../../error.js";

/** An error as Faye shows it. */
export class FayeError extends Error {
  readonly code: number | null;
  readonly params: string[];
  constructor(cause: unknown) {
    const error = cause instanceof BayeuxError ? cause : new BayeuxError(cause);
    super(error.text);
    this.code = error.code || null;
    // What it splits at the commas is never an empty list.
    this.params = error.code && !error.args.length ? [""] : error.args;
  }
}

export class Deferrable implements PromiseLike<void> {
  /** @internal */
  constructor(private readonly _promise: Promise<unknown>) {
    _promise.catch(() => {});
  }

  then<A = void, B = never>(callback?: ((value: void) => A | PromiseLike<A>) | null, errback?: ((error: FayeError) => B | PromiseLike<B>) | null): Promise<A | B> {
    return this._promise.then(() => callback?.() as A, (error) => {
      const shown = new FayeError(error);
      if (errback) return errback(shown);
      throw shown;
    });
  }

  callback(callback: () => void, context?: unknown): this {
    this.then(() => callback.call(context), () => {});
    return this;
  }

  errback(errback: (error: FayeError) => void, context?: unknown): this {
    this.then(null, (error) => errback.call(context, error));
    return this;
  }
}
