/*
 * What the application wants to hear: its subscriptions by channel pattern, what must be told to the server about each
 * pattern, and who gets which message. One per Session; asks through it and is fed by it.
 * Drops what a subscription has already seen; never knows about links.
 */
import { matches } from "./channel.js";
import type { BayeuxError } from "./error.js";
import type { Session } from "./session.js";
import type { Subscription } from "./subscription.js";
import type { Delivery } from "./types.js";

/** One pattern on the wire, however many subscriptions share it. */
interface Feed {
  readonly _subscriptions: Set<Subscription>;
  /** Subscribe messages on their way. */
  _asks: number;
}

/** An unsubscribe that got lost only costs traffic, so it is not repeated for ever. */
const UNSUBSCRIBE_ATTEMPTS = 3;

/** From where the server must replay so that no subscription misses anything; infinite when there is nothing to replay. */
const position = ({ _subscriptions }: Feed): number =>
  Math.min(...[..._subscriptions].map(({ _last, _from }) => _last ?? _from).filter((at) => at != -1));

/**
 * Is this message news to the subscription? Also moves its place in the stream.
 * @param id the message's position, when the server tells
 * @param global that position is one in the server's one log, not within a channel
 */
const advance = (subscription: Subscription, hit: boolean, id: number | undefined, global: boolean): boolean => {
  const { _last, _from, _confirmed } = subscription;
  if (id == null) return hit;
  const news = !(_confirmed && id <= _last!);
  // A live subscription that got nothing up to here need not ask again from before here.
  // One that waits for a replay must: its messages come from before this place.
  if (news && (hit || (global && _confirmed && (_last != null || _from == -1)))) subscription._last = id;
  return hit && news;
};

export class Feeds {
  #feeds = new Map<string, Feed>();

  constructor(private readonly _session: Session) {}

  _add(subscription: Subscription): void {
    const { channel, _from } = subscription;
    let feed = this.#feeds.get(channel);
    if (!feed) this.#feeds.set(channel, (feed = { _subscriptions: new Set(), _asks: 0 }));
    const others = [...feed._subscriptions];
    feed._subscriptions.add(subscription);
    // Whoever only wants what comes from now on shares the subscription that is there, or on its way.
    if (!others[0] || _from != -1) this.#ask(channel, feed);
    else if (others.some(({ _confirmed }) => _confirmed)) subscription._confirm();
  }

  _remove(subscription: Subscription): void {
    const { channel } = subscription;
    const feed = this.#feeds.get(channel);
    if (!feed?._subscriptions.delete(subscription) || feed._subscriptions.size) return;
    this.#feeds.delete(channel);
    this._session._request({ channel: "/meta/unsubscribe", subscription: channel }, { _attempts: UNSUBSCRIBE_ATTEMPTS }).catch(() => {});
  }

  /** There is a new session, which knows nothing of us. */
  _askAll(): void {
    for (const [pattern, feed] of this.#feeds) if (!feed._asks) this.#ask(pattern, feed, { _order: 0 });
  }

  /** Hands a message to whom it concerns, and to nobody twice. */
  _deliver(message: Delivery): void {
    const { channel, data, ext } = message;
    const global: number | undefined = ext?.replay?.id;
    for (const [pattern, { _subscriptions }] of [...this.#feeds]) {
      const hit = matches(pattern, channel);
      for (const subscription of [..._subscriptions]) {
        // The second form is Salesforce's, which counts within one channel.
        if (!advance(subscription, hit, global ?? data?.event?.replayId, global != null)) continue;
        try {
          subscription._push(message);
        } catch (error) {
          this._session._emit("error", { error, channel });
        }
      }
    }
  }

  /** The client has stopped: iterations end, callbacks wait for the next start. */
  _stop(reason: unknown): void {
    for (const { _subscriptions } of this.#feeds.values()) {
      for (const subscription of _subscriptions) if (!subscription._callback) subscription._end(reason);
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
            const from = position(feed);
            if (this._session._replay && from < Infinity) message.ext = { ...message.ext, replay: { [pattern]: from } };
          },
        },
      )
      .finally(() => feed._asks--)
      .then(
        () => {
          for (const subscription of feed._subscriptions) {
            if (asking.includes(subscription) || subscription._from == -1) subscription._confirm();
          }
        },
        (error: BayeuxError) => {
          // Without a reply it was the end of the client, whose next start asks again.
          if (error.reply && this.#feeds.get(pattern) == feed) this.#refused(pattern, feed, error);
        },
      );
  }

  #refused(pattern: string, feed: Feed, error: BayeuxError): void {
    if (error.code == 400 && /replayId/.test(error.text)) {
      // The server has forgotten that position: say so, and take all it still has.
      this._session._emit("gap", { channel: pattern, since: position(feed), detail: error });
      for (const subscription of feed._subscriptions) {
        subscription._last = undefined;
        subscription._from = -2;
      }
      return this.#ask(pattern, feed);
    }
    this.#feeds.delete(pattern);
    for (const subscription of feed._subscriptions) {
      if (subscription._confirmed) this._session._emit("error", { error, channel: pattern });
      subscription._end(error);
    }
  }
}
