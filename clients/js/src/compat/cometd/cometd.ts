/*
 * CometD's JavaScript API over this package's core: the same names, callbacks and handles.
 * Applications make one. This file is about messages; the session is in conversation.ts.
 */
import type { BayeuxError } from "../../error.js";
import { Conversation, NEVER, PENDING, trailing, type Pending } from "./conversation.js";
import { resolve } from "./listeners.js";
import type { Bytes, Callback, Message, SubscriptionHandle } from "./types.js";
import { Z85 } from "./z85.js";

/** Fields for the message itself. */
type Props = Record<string, unknown> | undefined;

const VALID_CHANNEL = /^\/[\w !#$()*+\-./@{}~]+$/;

export class CometD extends Conversation {
  // ---- messaging

  subscribe(channel: string, callback: Callback, subscribeCallback?: Callback): SubscriptionHandle;
  subscribe(channel: string, callback: Callback, props: object | undefined, subscribeCallback?: Callback): SubscriptionHandle;
  subscribe(channel: string, scope: unknown, callback: Callback | string, props?: object | Callback, subscribeCallback?: Callback): SubscriptionHandle;
  subscribe(channel: string, scope: unknown, ...rest: unknown[]): SubscriptionHandle {
    this._check(channel);
    const method = typeof scope == "function" ? undefined : rest.shift();
    const { values, callback } = trailing(rest);
    const first = !this._listeners.subscriptions(channel).length;
    const handle = this._listeners.add(channel, scope, method, false);
    if (first) {
      this._expect("/meta/subscribe", channel, callback, values[0]);
      this._emit(() => this._subscribeOnce(channel));
    } else this._answerLater("/meta/subscribe", channel, callback);
    return handle;
  }

  unsubscribe(handle: SubscriptionHandle, callback?: Callback): void;
  unsubscribe(handle: SubscriptionHandle, props: object | undefined, callback?: Callback): void;
  unsubscribe(handle: SubscriptionHandle, ...rest: unknown[]): void {
    if (this.isDisconnected()) throw new Error("Illegal state: disconnected");
    const { values, callback } = trailing(rest);
    this.removeListener(handle);
    const { channel } = handle;
    if (this._listeners.subscriptions(channel).length) return this._answerLater("/meta/unsubscribe", channel, callback);
    this._emit(() => {
      // Given up before, or dropped by a new handshake: the server has nothing to answer.
      if (!this._subscriptions.has(channel)) return this._answerLater("/meta/unsubscribe", channel, callback);
      this._expect("/meta/unsubscribe", channel, callback, values[0]);
      this._unsubscribeOnce(channel);
    });
  }

  resubscribe(handle: SubscriptionHandle | undefined, props?: object): SubscriptionHandle | undefined {
    this._listeners.remove(handle);
    return handle && this.subscribe(handle.channel, handle.scope, handle.callback, props);
  }

  /** Forgets all subscriptions, here only. */
  clearSubscriptions(): void {
    this._forgetAll();
  }

  publish(channel: string, content?: unknown, callback?: Callback): void;
  publish(channel: string, content: unknown, props: object | undefined, callback?: Callback): void;
  publish(channel: string, ...rest: unknown[]): void {
    this._check(channel);
    if (channel.startsWith("/meta/")) throw new Error("Illegal argument: cannot publish to meta channels");
    const { values, callback } = trailing(rest);
    this._send({ ...values[1], channel, data: values.length ? values[0] : {} }, callback);
  }

  remoteCall(target: string, content: unknown, callback?: Callback): void;
  remoteCall(target: string, content: unknown, timeout: number | undefined, callback?: Callback): void;
  remoteCall(target: string, content: unknown, timeout: number | undefined, props: object | undefined, callback?: Callback): void;
  remoteCall(target: string, content: unknown, ...rest: unknown[]): void {
    if (typeof target != "string") throw new Error("Illegal argument type: target must be a string");
    const { values, callback } = trailing([content, ...rest]);
    const [data = {}, timeout = this._configuration.maxNetworkDelay!, props] = values;
    if (typeof timeout != "number") throw new Error("Illegal argument type: timeout must be a number");
    const channel = "/service" + target.replace(/^\/?/, "/");
    this._check(channel);
    this._send({ ...props, channel, data }, callback, timeout || NEVER);
  }

  publishBinary(channel: string, data: Bytes, last: boolean, callback?: Callback): void;
  publishBinary(channel: string, data: Bytes, last: boolean, meta: object | undefined, callback?: Callback): void;
  publishBinary(channel: string, data: Bytes, last: boolean, meta: object | undefined, props: Props, callback?: Callback): void;
  publishBinary(channel: string, ...rest: unknown[]): void {
    const { values, callback } = trailing(rest);
    const [bytes = [], last = true, meta, props] = values;
    this.publish(channel, this._binary(bytes, last, meta), { ...props, ext: { ...props?.ext, binary: {} } }, callback);
  }

  remoteCallBinary(target: string, data: Bytes, last: boolean, callback?: Callback): void;
  remoteCallBinary(target: string, data: Bytes, last: boolean, meta: object | undefined, callback?: Callback): void;
  remoteCallBinary(target: string, data: Bytes, last: boolean, meta: object | undefined, timeout: number | undefined, callback?: Callback): void;
  remoteCallBinary(target: string, data: Bytes, last: boolean, meta: object | undefined, timeout: number | undefined, props: Props, callback?: Callback): void;
  remoteCallBinary(target: string, ...rest: unknown[]): void {
    const { values, callback } = trailing(rest);
    const [bytes = [], last = true, meta, timeout, props] = values;
    this.remoteCall(target, this._binary(bytes, last, meta), timeout, { ...props, ext: { ...props?.ext, binary: {} } }, callback);
  }

  private _binary(bytes: Bytes, last: boolean, meta: object | undefined): object {
    return { meta, data: Z85.encode(bytes), last };
  }

  // ---- batches

  startBatch(): void {
    this._batch++;
  }
  endBatch(): void {
    if (!this._batch) throw new Error("Calls to startBatch() and endBatch() are not paired");
    if (--this._batch || this.isDisconnected()) return;
    // What is asked for in one go, the core writes in one go.
    for (const send of this._batched.splice(0)) send();
  }
  batch(group: () => void): void;
  batch(scope: unknown, group: (() => void) | string): void;
  batch(scope: unknown, group?: unknown): void {
    const { scope: self, callback } = resolve(scope, group);
    this.startBatch();
    try {
      (callback as () => void).call(self);
    } finally {
      this.endBatch();
    }
  }

  // ---- for extensions

  /** Sends a message as it is. */
  send(message: Message): void {
    this._send(message, undefined);
  }
  /** For extensions. */
  _mixin(_deep: boolean, target: object | undefined, ...objects: object[]): object {
    return Object.assign(target ?? {}, ...objects);
  }

  // ---- out

  private _check(channel: string): void {
    if (!VALID_CHANNEL.test(channel)) throw new Error("Illegal argument: invalid channel " + channel);
    if (this.isDisconnected()) throw new Error("Illegal state: disconnected");
  }

  private _emit(send: () => void): void {
    if (this._batch > 0) this._batched.push(send);
    else send();
  }

  private _send(message: Message, callback: Callback | undefined, answerWithin?: number): void {
    if (this.isDisconnected()) throw new Error("Illegal state: disconnected");
    const pending: Pending = { callback, call: !!answerWithin };
    this._emit(() => {
      const transport = this.getTransport();
      this._client!._request({ ...message, [PENDING]: pending }, { _attempts: 1, _answerWithin: answerWithin }).catch((error: BayeuxError) => {
        const late = error.message == "406::timeout" && answerWithin;
        const failed: Message = error.reply ?? {
          channel: message.channel,
          successful: false,
          error: error.code ? error.message : undefined,
          failure: {
            message,
            reason: late ? "Remote Call Timeout" : error.text,
            exception: error,
            transport,
            connectionType: transport?.type,
          },
        };
        // A failed answer was told already, in its turn.
        if (failed.data === undefined) this._call(callback, failed);
        if (answerWithin && callback) return;
        this._listeners.notify("/meta/publish", failed);
        this._listeners.notify("/meta/unsuccessful", failed);
      });
    });
  }

  /** One subscription of the core for each channel; it keeps the place in the stream. */
  private _subscribeOnce(channel: string): void {
    if (this._subscriptions.has(channel)) return;
    const props = this._waiting.get("/meta/subscribe " + channel)?.at(-1)?.props;
    const subscription = this._client!.subscribe(channel, () => (this._news = true), { fields: props as Record<string, unknown> });
    this._subscriptions.set(channel, subscription);
  }

  private _expect(verb: string, channel: string, callback?: Callback, props?: object): void {
    const key = verb + " " + channel;
    this._waiting.set(key, [...(this._waiting.get(key) ?? []), { callback, props }]);
  }

  private _answerLater(channel: string, subscription: string, callback: Callback | undefined): void {
    if (callback) setTimeout(() => this._call(callback, { channel, subscription, successful: true }), 0);
  }
}
