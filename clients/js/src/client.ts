/*
 * What applications hold in their hands: connect, subscribe, publish, call, events.
 * Everything about staying connected is in Session; this file only gives it words and types.
 */
import { onAbort } from "./abort.js";
import { BayeuxError } from "./error.js";
import { Session } from "./session.js";
import { Subscription, type Callback } from "./subscription.js";
import type { Answer, CallOptions, Delivery, Known, PublishOptions, Published, Question, SubscribeOptions, Subscribed } from "./types.js";

/**
 * A Bayeux client.
 *
 * ```ts
 * const client = new Client("https://example.com/bayeux", { transports: [websocket(), longPolling()] });
 * await client.connect();
 * client.subscribe("/chat/*", (message) => console.log(message.channel, message.data));
 * await client.publish("/chat/demo", { text: "hello" });
 * ```
 *
 * @typeParam M channel or pattern → payload
 * @typeParam S service name → function from request to answer
 */
export class Client<M = any, S = any> extends Session {
  /** Connects and stays connected, whatever happens, until `disconnect()`. Resolves at the first success. */
  async connect({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    signal?.throwIfAborted();
    this._start();
    if (this.state == "connected") return;
    await new Promise<void>((resolve, reject) => {
      const off = this.on("state", ({ state, reason }) => {
        if (state == "connected") resolve();
        else if (state == "disconnected") reject(reason ?? new BayeuxError(state));
        else return;
        off();
        ignore();
      });
      const ignore = onAbort(signal, (reason) => {
        reject(reason);
        this._stop(signal);
      });
    });
  }

  /** Sends what is queued, says goodbye, and ends all iterations. Callbacks stay for the next `connect()`. */
  disconnect({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this._stop(signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /**
   * Resolves when the server has accepted the message. Waits while the client is on its way (back); fails at once, with
   * "not connected", before `connect()` and after the end, when nothing would ever send it.
   */
  async publish<C extends string>(
    channel: C & Known<C, Published<M, C>>,
    data: Published<M, C>,
    { fields, attempts = 1, signal }: PublishOptions = {},
  ): Promise<void> {
    // What may be written again must not count again; a server that does not know the name ignores it.
    if (attempts > 1) fields = { ...fields, ext: { idempotency: "" + Math.random() + Math.random(), ...fields?.ext } };
    await this._request({ ...fields, channel, data }, { _signal: signal, _attempts: attempts });
  }

  /** Asks a service and resolves with its answer. `"echo"` is short for `"/service/echo"`. Waits and fails as `publish` does. */
  async call<K extends string & keyof S>(
    target: K,
    data: Question<S, K>,
    { fields, timeout = this._patience, signal }: CallOptions = {},
  ): Promise<Answer<S, K>> {
    const channel = target[0] == "/" ? target : "/service/" + target;
    return (await this._request({ ...fields, channel, data }, { _signal: signal, _answerWithin: timeout })).data;
  }

  /** Subscribes: iterate over the result, or give a callback. May be called before `connect()`. */
  subscribe<C extends string>(channel: C & Known<C, Subscribed<M, C>>, options?: SubscribeOptions): Subscription<Subscribed<M, C>>;
  subscribe<C extends string>(
    channel: C & Known<C, Subscribed<M, C>>,
    callback: (message: Delivery<Subscribed<M, C>>) => void,
    options?: SubscribeOptions,
  ): Subscription<Subscribed<M, C>>;
  subscribe(channel: string, callback?: Callback | SubscribeOptions, options?: SubscribeOptions): Subscription {
    return typeof callback == "function"
      ? new Subscription(this._feeds, channel, callback, options)
      : new Subscription(this._feeds, channel, undefined, callback);
  }
}
