/*
 * What the application wants to hear: its subscriptions by channel pattern, what must be told to the server about each
 * pattern, and who gets which message. One per Session; asks through it and is fed by it.
 * Drops what a subscription has already seen; never knows about links.
 */
import { matches } from "./channel.js";
import type { BayeuxError } from "./error.js";
import { isStale } from "./outbox.js";
import type { Session } from "./session.js";
import type { Subscription } from "./subscription.js";
import type { Delivery } from "./types.js";

/** One pattern on the wire, however many subscriptions share it. */
interface Feed {
  readonly _subscriptions: Set<Subscription>;
  /** Subscribe messages on their way. */
  _asks: number;
  /** The server has accepted one. */
  _accepted?: boolean;
}

/** An unsubscribe that got lost only costs traffic, so it is not repeated for ever. */
const UNSUBSCRIBE_ATTEMPTS = 3;

export class Feeds {
  /** Newest position seen, when positions are places in one log of the server. */
  _last: number | undefined;
  #feeds = new Map<string, Feed>();

  constructor(private readonly _session: Session) {}

  _add(subscription: Subscription): void {
    const { channel, _from } = subscription;
    const known = this.#feeds.get(channel);
    const feed: Feed = known ?? { _subscriptions: new Set(), _asks: 0 };
    this.#feeds.set(channel, feed);
    feed._subscriptions.add(subscription);
    subscription._rewinds = !!known;
    // Whoever only wants what comes from now on shares the subscription that is there, or on its way.
    if (!known || _from != -1) {
      // Subscribing again changes nothing at a server, so what is to begin in the past begins anew.
      if (known && this._session._replay) this.#unask(channel);
      this.#ask(channel, feed);
    } else if (feed._accepted) subscription._confirm();
  }

  _remove(subscription: Subscription): void {
    const { channel } = subscription;
    const feed = this.#feeds.get(channel);
    if (!feed?._subscriptions.delete(subscription) || feed._subscriptions.size) return;
    this.#feeds.delete(channel);
    this.#unask(channel);
  }

  #unask(subscription: string): void {
    this._session._request({ channel: "/meta/unsubscribe", subscription }, { _attempts: UNSUBSCRIBE_ATTEMPTS }).catch(() => {});
  }

  /** There is a new session, which knows nothing of us. */
  _askAll(): void {
    for (const [pattern, feed] of this.#feeds) if (!feed._asks) this.#ask(pattern, feed, { _order: 0 });
  }

  /** Hands a message to whom it concerns, and to nobody twice. */
  _deliver(message: Delivery): void {
    const { channel, data, ext } = message;
    const global: number | undefined = ext?.replay?.id;
    if (global! > (this._last ?? 0)) this._last = global;
    for (const [pattern, { _subscriptions }] of [...this.#feeds]) {
      if (!matches(pattern, channel)) continue;
      for (const subscription of [..._subscriptions]) {
        try {
          // The second form is Salesforce's, which counts within one channel.
          if (subscription._advance(global ?? data?.event?.replayId)) subscription._push(message);
        } catch (error) {
          this._session._emit("error", { error, channel });
        }
      }
    }
  }

  /** The client has stopped: iterations end, callbacks wait for the next start. */
  _stop(reason: unknown): void {
    for (const feed of this.#feeds.values()) {
      feed._accepted = false;
      for (const subscription of feed._subscriptions) if (!subscription._callback) subscription._end(reason);
    }
  }

  #ask(pattern: string, feed: Feed, order?: { _order: number }): void {
    const asking = [...feed._subscriptions];
    feed._asks++;
    this._session
      ._request(
        { ...asking[0]!._options.fields, channel: "/meta/subscribe", subscription: pattern },
        {
          _attempts: Infinity,
          ...order,
          _prepare: (message) => {
            const from = this.#position(feed);
            if (!this._session._replay || from == Infinity) return;
            message.ext = { ...message.ext, replay: { [pattern]: from } };
            for (const subscription of feed._subscriptions) subscription._restart(subscription._position(this._last));
          },
        },
      )
      .finally(() => feed._asks--)
      .then(
        () => {
          feed._accepted = true;
          for (const subscription of feed._subscriptions) {
            if (asking.includes(subscription) || subscription._from == -1) subscription._confirm();
          }
        },
        (error: BayeuxError) => {
          // Without a reply it was the end of the client, and a stale session has a successor: those ask again.
          if (error.reply && !isStale(error) && feed._subscriptions.size) this.#refused(pattern, feed, error);
        },
      );
  }

  /** From where the server must replay so that no subscription misses anything; infinite when there is nothing to replay. */
  #position({ _subscriptions }: Feed): number {
    return Math.min(...[..._subscriptions].map((subscription) => subscription._position(this._last)).filter((at) => at != -1));
  }

  #refused(pattern: string, feed: Feed, error: BayeuxError): void {
    if (error.code == 400 && /replayId/.test(error.text)) {
      // The server has forgotten that position: say so, and take all it still has.
      this._session._emit("gap", { channel: pattern, since: this.#position(feed), detail: error });
      for (const subscription of feed._subscriptions) subscription._restart(-2);
      this._last = undefined;
      return this.#ask(pattern, feed);
    }
    this.#feeds.delete(pattern);
    for (const subscription of feed._subscriptions) {
      this._session._emit("error", { error, channel: pattern });
      subscription._end(error);
    }
  }
}
