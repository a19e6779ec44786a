/*
 * CometD's session as applications see it: handshake and disconnect, status, and what listeners are told and when.
 * Base of CometD. The core decides and retries; this file watches through the tap and translates.
 */
import { matches } from "../../channel.js";
import { Client } from "../../client.js";
import type { Subscription } from "../../subscription.js";
import { Base } from "./base.js";
import { tap, type Ear } from "./tap.js";
import type { CometDTransport } from "./transports.js";
import type { Callback, Configuration, FailureInfo, Message, Status } from "./types.js";

/** Half of the longest time that a timer can wait, in milliseconds: never, in practice. */
export const NEVER = 2 ** 30;
/** How a server refuses to replay from a position that it has no more. */
const FORGOTTEN_POSITION = /^400:.*replayId/;
/** How long a connect is held by a server that has not said so. */
const DEFAULT_HOLD = 60_000;
/** What is to happen when a message of the application is answered; travels with the message as far as the tap. */
export const PENDING = Symbol("pending");
export interface Pending {
  callback: Callback | undefined;
  /** A remote call: its answer comes after the reply, or before. */
  call: boolean;
}

const isFunction = (value: unknown): value is Callback => typeof value == "function";

/** Optional arguments before a trailing callback: `(a, b, callback)`, `(a, callback)`, `(callback)`. */
export const trailing = (args: unknown[]): { values: any[]; callback: Callback | undefined } => {
  const at = args.findIndex(isFunction);
  return at < 0 ? { values: args, callback: undefined } : { values: args.slice(0, at), callback: args[at] as Callback };
};

export class Conversation extends Base {
  /** @internal */ _client: Client | undefined;
  /** @internal The core's subscriptions by channel; they keep the place in the stream. */
  readonly _subscriptions = new Map<string, Subscription>();
  /** @internal What to do with the server's replies, by verb and channel. */
  readonly _waiting = new Map<string, { callback?: Callback; props?: object }[]>();
  /** @internal The core has handed out the event that is being looked at, so it was not seen before. */
  _news = false;
  /** @internal How deep in startBatch() we are, and what waits for the last endBatch(). */
  _batch = 0;
  /** @internal */
  _batched: (() => void)[] = [];
  private _status: Status = "disconnected";
  private _clientId: string | null = null;
  private _transport: CometDTransport | null = null;
  private _failure: { type: string; reason: unknown; message: Message } | undefined;
  private _reestablish = false;
  private _handshakeCallback: Callback | undefined;
  private _disconnectProps: object | undefined;
  private _disconnectCallback: Callback | undefined;
  /** By message id. */
  private readonly _pending = new Map<string | undefined, Pending>();
  /** Lets the core have a message that has come from the server, or is to look so. */
  private _pass: (message: Message) => void = () => {};

  // ---- session

  init(configuration: Configuration | string, handshakeProps?: object): void {
    this.configure(configuration);
    this.handshake(handshakeProps);
  }

  handshake(callback?: Callback): void;
  handshake(props: object | undefined, callback?: Callback): void;
  handshake(...args: unknown[]): void {
    if (this._status != "disconnected") throw new Error("Illegal state: " + this._status);
    const { values, callback } = trailing(args);
    this._handshakeCallback = callback;
    this._reestablish = false;
    this._status = "handshaking";
    this._forgetAll();
    const { url, backoffIncrement, maxBackoff, advice } = this._configuration;
    const registry = this.getTransportRegistry();
    const types = registry.findTransportTypes("1.0", false, url);
    if (!types.length) {
      this._status = "disconnected";
      throw new Error("Could not find initial transport among: " + this.getTransportTypes());
    }
    const ear = this._ear();
    this._transport = registry.find(types[0]!);
    const client = new Client(url, {
      transports: types.map((type) => tap(registry.find(type)!._create(this._configuration), ear)),
      handshake: { ...values[0], minimumVersion: "1.0", advice: { timeout: advice?.timeout, interval: advice?.interval } },
      backoff: backoffIncrement,
      backoffMax: maxBackoff,
      // The tap has CometD's own rules for this.
      networkTimeout: NEVER,
    });
    client.on("error", ({ error }) => this._debug("Refused subscription", error));
    client.on("disconnected", () => this._client == client && this._ended());
    this._client = client;
    client.connect().catch((error) => this._debug("Not connected", error));
  }

  disconnect(callback?: Callback): void;
  disconnect(props: object | undefined, callback?: Callback): void;
  disconnect(...args: unknown[]): void {
    if (this.isDisconnected()) return;
    const { values, callback } = trailing(args);
    this._disconnectProps = values[0];
    this._disconnectCallback = callback;
    this._status = "disconnecting";
    const client = this._client!;
    // An extension may swallow the goodbye.
    const signal = AbortSignal.timeout(this._configuration.maxNetworkDelay!);
    // Called from a listener, the core is still busy with the message that the listener was told of.
    queueMicrotask(() => client.disconnect({ signal }));
  }

  private _ended(): void {
    const unanswered = this._status == "disconnecting";
    this._status = "disconnected";
    this._clientId = null;
    this._client = undefined;
    this._pass = () => {};
    this._transport = null;
    this._batch = 0;
    this._batched = [];
    this._subscriptions.clear();
    this._pending.clear();
    this.resetBackoffPeriod();
    if (unanswered) this._disconnected({ channel: "/meta/disconnect", successful: false });
  }

  private _disconnected(message: Message): void {
    const callback = this._disconnectCallback;
    this._disconnectCallback = undefined;
    this._call(callback, message);
    this._notify(message);
  }

  getStatus(): Status {
    return this._status;
  }
  isDisconnected(): boolean {
    return this._status == "disconnecting" || this._status == "disconnected";
  }
  getClientId(): string | null {
    return this._clientId;
  }
  override getTransport(): CometDTransport | null {
    return this._transport;
  }

  /** @internal Drops all subscriptions, here and in the core. */
  _forgetAll(): void {
    for (const handle of this._listeners.allSubscriptions()) this._listeners.remove(handle);
    for (const channel of [...this._subscriptions.keys()]) this._unsubscribeOnce(channel);
  }

  /** @internal */
  _unsubscribeOnce(channel: string): void {
    this._subscriptions.get(channel)?.unsubscribe();
    this._subscriptions.delete(channel);
  }

  /** Takes a message as if it had come from the server. */
  receive(message: Message): void {
    const extended = this._extend(message, "incoming");
    if (!extended) return;
    if (extended.advice) this._advice = { ...this._configuration.advice, ...extended.advice };
    this._handle(extended);
  }
  /**
   * May be replaced by the application to have a say in what happens after a failure. Call the handler with
   * `action: "none"` to give up, or with a `url` to go on there; everything else is the core's decision.
   */
  onTransportFailure(_message: Message, info: FailureInfo, handler: (info: FailureInfo) => void): void {
    handler(info);
  }

  // ---- what the tap hears

  private _ear(): Ear {
    return {
      opening: (type, url, abort, pass) => {
        this._pass = pass;
        return this._opening(type, url, abort);
      },
      outgoing: (message, original) => {
        if (PENDING in original) this._pending.set(message.id, original[PENDING] as Pending);
        return this._outgoing(message);
      },
      incoming: (message) => this.receive(message),
      failed: (message, reason) => this._failed(message, reason),
      patience: ({ channel, advice }) =>
        this._configuration.maxNetworkDelay! + (channel == "/meta/connect" ? (advice?.timeout ?? this._advice.timeout ?? DEFAULT_HOLD) : 0),
      late: (messages) => {
        const extras = [...this._transportListeners].map((listener) => Number(listener.call(this._transport, messages)) || 0);
        return Math.max(0, ...extras);
      },
    };
  }

  private _opening(type: string, url: string, abort: () => void): string {
    const transport = this.findTransport(type)!;
    const failed = this._failure;
    if (failed && failed.type != type) {
      this.onTransportException?.(this._failureOf(failed.message, failed.reason).failure!, failed.type, type);
    }
    this._failure = undefined;
    this._transport = transport;
    transport._abort = abort;
    return transport.url ?? this._configuration.urls?.[type] ?? url;
  }

  private _outgoing(message: Message): Message | null {
    const { channel } = message;
    if (channel == "/meta/handshake") {
      this._enter("handshaking");
      this._clientId = null;
      this._advice = { ...this._configuration.advice };
      // Applications make their subscriptions again when told of the new handshake.
      if (this._reestablish && !this._configuration.resubscribe) {
        for (const handle of this._listeners.allSubscriptions()) this._listeners.remove(handle);
      }
    } else if (channel == "/meta/connect") this._enter("connected");
    else if (channel == "/meta/disconnect") Object.assign(message, { ...this._disconnectProps, ...message });
    else if (channel == "/meta/unsubscribe") {
      Object.assign(message, { ...this._waiting.get(channel + " " + message.subscription)?.at(-1)?.props, ...message });
    }
    return this._extend(message, "outgoing");
  }

  private _handle(message: Message): void {
    const { channel, data } = message;
    if (data !== undefined) return this._event(message);
    this._pass(message);
    if (channel == "/meta/handshake") this._handshaken(message);
    else if (channel == "/meta/connect") this._connected(message);
    else if (channel == "/meta/disconnect") this._goodbye(message);
    else if (channel == "/meta/subscribe" || channel == "/meta/unsubscribe") this._answered(message);
    else if (message.successful) this._published(message);
  }

  /** An event is told to everybody who listens, unless the core knows that it was told before. */
  private _event(message: Message): void {
    this._news = false;
    this._pass(message);
    const { channel, id } = message;
    const pending = this._pending.get(id);
    if (pending?.call && channel.startsWith("/service/")) {
      this._pending.delete(id);
      if (pending.callback) return this._call(pending.callback, message);
    }
    const seen = !this._news && [...this._subscriptions.keys()].some((pattern) => matches(pattern, channel));
    if (!seen) this._listeners.notify(channel, message);
  }

  /** A message was accepted. One that was refused may be sent again: the core knows, see CometD._send. */
  private _published(message: Message): void {
    const pending = this._pending.get(message.id);
    if (pending && !pending.call) {
      this._pending.delete(message.id);
      this._call(pending.callback, message);
    }
    this._listeners.notify("/meta/publish", message);
  }

  private _handshaken(message: Message): void {
    if (message.successful) {
      this._clientId = message.clientId!;
      message.reestablish = this._reestablish;
      this._reestablish = true;
      this.resetBackoffPeriod();
    } else this.increaseBackoffPeriod();
    this._call(this._handshakeCallback, message);
    this._notify(message);
    if (message.successful) this._dropForgotten();
    else this._consult(message, "unsuccessful");
  }

  /** After a re-handshake: the core has subscribed to all it knew; what the application has not is given up. */
  private _dropForgotten(): void {
    for (const channel of [...this._subscriptions.keys()]) {
      if (!this._listeners.subscriptions(channel).length) this._unsubscribeOnce(channel);
    }
  }

  private _connected(message: Message): void {
    if (message.successful) this.resetBackoffPeriod();
    this._notify(message);
    if (!message.successful) this._consult(message, "unsuccessful");
  }

  private _goodbye(message: Message): void {
    if (message.successful) {
      this._status = "disconnected";
      this._clientId = null;
    }
    this._disconnected(message);
  }

  private _answered(message: Message): void {
    // The server has forgotten the place in the stream, not the channel: the core asks again, and that answer is told.
    if (FORGOTTEN_POSITION.test(message.error ?? "")) return;
    const key = message.channel + " " + message.subscription;
    const waiting = this._waiting.get(key) ?? [];
    this._waiting.delete(key);
    if (!message.successful && message.channel == "/meta/subscribe") {
      for (const handle of this._listeners.subscriptions(message.subscription!)) this._listeners.remove(handle);
      this._subscriptions.delete(message.subscription!);
    }
    for (const { callback } of waiting) this._call(callback, message);
    this._notify(message);
  }

  /** A step of the conversation got no reply. */
  private _failed(message: Message, reason: unknown): void {
    const { channel } = message;
    if (channel != "/meta/handshake" && channel != "/meta/connect") return;
    this._failure = { type: this._transport?.type ?? "unknown", reason, message };
    this.increaseBackoffPeriod();
    const failed = this._failureOf(message, reason);
    if (channel == "/meta/handshake") this._call(this._handshakeCallback, failed);
    this._notify(failed);
    this._consult(failed, "failure");
  }

  private _failureOf(message: Message, reason: unknown): Message {
    const { channel, id } = message;
    const transport = this._transport;
    return { id, channel, successful: false, failure: { message, reason: String(reason), exception: reason, transport, connectionType: transport?.type } };
  }

  private _consult(message: Message, cause: FailureInfo["cause"]): void {
    if (this.isDisconnected()) return;
    const action = message.advice?.reconnect ?? (message.channel == "/meta/handshake" ? "handshake" : "retry");
    const info: FailureInfo = { cause, action, transport: this._transport, delay: this._backoff };
    this.onTransportFailure(message, info, ({ action, url }) => {
      if (url && this._transport) this._transport.url = url;
      if (action == "none") this._client?.disconnect({ signal: AbortSignal.abort() });
    });
    // Only now: listeners that are told of the failure still find the status from before, as in CometD.
    this._enter(message.channel == "/meta/handshake" ? "handshaking" : "connecting");
  }

  private _notify(message: Message): void {
    this._listeners.notify(message.channel, message);
    if (!message.successful) this._listeners.notify("/meta/unsuccessful", message);
  }

  /** A goodbye under way is not overtaken by what the core still does. */
  private _enter(status: Status): void {
    if (!this.isDisconnected()) this._status = status;
  }
}
