/*
 * One subscription of the application: a callback, or a bounded buffer to iterate over, and its place in the stream.
 * Made by Client.subscribe, which adds it to the feeds. Never talks to the server and never sees a link.
 */
import { onAbort } from "./abort.js";
import { BayeuxError } from "./error.js";
import type { Feeds } from "./feeds.js";
import type { Delivery, SubscribeOptions } from "./types.js";

export type Callback<T = any> = (message: Delivery<T>) => void;

export class Subscription<T = any> implements AsyncIterable<Delivery<T>> {
  /** Resolves when the server has accepted the subscription, rejects when it has refused it. */
  readonly ready: Promise<void>;
  /** @internal Position of the newest message seen. */
  _last?: number;
  /** @internal Where the server was asked to begin; -1: now. Counts while `_last` is not known. */
  _from: number;
  /** @internal Whatever was to be replayed has begun to come, so others' messages tell how far this one has come, too. */
  _settled?: boolean;
  /** @internal Joined others with a replay of its own, which has not begun. */
  _rewinds?: boolean;
  /** @internal The server has accepted it. */
  _confirm!: () => void;
  /** @internal Ends it, in error when there is one. */
  _end!: (error?: unknown) => void;

  #buffer: Delivery<T>[] = [];
  #ended?: boolean;
  #error: unknown;
  #wake = () => {};

  /** @internal */
  constructor(
    feeds: Feeds,
    readonly channel: string,
    /** @internal */ readonly _callback: Callback<T> | undefined,
    /** @internal */ readonly _options: SubscribeOptions = {},
  ) {
    const { signal, replay = -1 } = _options;
    signal?.throwIfAborted();
    this._from = replay;
    const off = onAbort(signal, (reason) => this._end(reason));
    this.ready = new Promise((resolve, reject) => {
      this._confirm = () => {
        this._settled ||= this._from == -1;
        resolve();
      };
      this._end = (error) => {
        if (this.#ended) return;
        this.#ended = true;
        this.#error = error;
        off();
        feeds._remove(this);
        reject(error ?? new BayeuxError("unsubscribed"));
        this.#wake();
      };
    });
    // Waiting for it is optional.
    this.ready.catch(() => {});
    feeds._add(this);
  }

  /** Ends it. The server is told when this was the last one on the channel. */
  unsubscribe(): void {
    this._end();
  }

  [Symbol.dispose](): void {
    this._end();
  }

  /** @internal Where a replay must begin so that nothing is missed; -1: nowhere. `last` is the newest position of all. */
  _position(last: number | undefined): number {
    return (this._settled ? last : undefined) ?? this._last ?? this._from;
  }

  /** @internal The server is asked to begin at `from`. */
  _restart(from: number): void {
    this._from = from;
    this._settled = from == -1;
    this._last = undefined;
  }

  /** @internal Is a message at this position news? Then this is where the subscription is. */
  _advance(id: number | undefined): boolean {
    if (id == null) return true;
    const seen = id <= (this._last ?? this._from);
    if (seen && !(this._rewinds && id > this._from)) return false;
    // A replay goes back once, behind what was on its way when it was asked for.
    if (seen) this._rewinds = false;
    this._settled = true;
    this._last = id;
    return true;
  }

  /** @internal */
  _push(message: Delivery<T>): void {
    if (this.#ended) return;
    const { buffer = 1000, overflow } = this._options;
    if (this._callback) this._callback(message);
    // The reader still gets what came before, without a hole in it.
    else if (this.#buffer[buffer - 1] && overflow != "drop") this._end(new BayeuxError("buffer full"));
    else if (this.#buffer.push(message) > buffer) this.#buffer.shift();
    this.#wake();
  }

  /** Reads what arrives; leaving the loop unsubscribes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery<T>, void, undefined> {
    try {
      for (;;) {
        if (this.#buffer[0]) yield this.#buffer.shift()!;
        else if (this.#ended) break;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if (this.#error) throw this.#error;
    } finally {
      this._end();
    }
  }
}
