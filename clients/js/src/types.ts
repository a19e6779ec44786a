/*
 * The words of the protocol and of the public API, as types only.
 * Used by every other file. Never holds code: this file disappears when compiled.
 */
import type { BayeuxError } from "./error.js";
import type { Transport } from "./transport/transport.js";

/** What the server says about when and how to come back. Times are milliseconds. */
export interface Advice {
  reconnect?: "retry" | "handshake" | "none";
  interval?: number;
  timeout?: number;
  [key: string]: unknown;
}

/** One JSON object on the wire: an event when it has `data`, a reply when it has not. */
export interface Message<T = any> {
  channel: string;
  data?: T;
  id?: string;
  clientId?: string;
  successful?: boolean;
  error?: string;
  subscription?: string;
  advice?: Advice;
  ext?: Record<string, any>;
  [key: string]: unknown;
}

/** A delivered message: like {@link Message}, but its `data` is there. */
export interface Delivery<T = any> extends Message<T> {
  data: T;
}

/** Does channel `C` fall under pattern `P`? */
type Under<C, P> = P extends `${infer Base}/**`
  ? C extends `${Base}/${string}` ? true : false
  : P extends `${infer Base}/*`
    ? C extends `${Base}/${infer Rest}` ? (Rest extends `${string}/${string}` ? false : true) : false
    : C extends P ? true : false;

/** The payload type of publishing to `C`, given the map `M` from channels or patterns to payloads. */
export type Published<M, C extends string> = string extends keyof M
  ? M[keyof M]
  : C extends keyof M
    ? M[C]
    : { [P in keyof M]: string extends C ? M[P] : Under<C, P> extends true ? M[P] : never }[keyof M];

/** The payload type of subscribing to `C`: of everything in `M` that `C` covers, or that covers `C`. */
export type Subscribed<M, C extends string> = string extends keyof M
  ? M[keyof M]
  : { [P in keyof M]: string extends C ? M[P] : Under<P, C> extends true ? M[P] : Under<C, P> extends true ? M[P] : never }[keyof M];

/** `C` itself when the map knows it, `never` (a compile error at the call) otherwise. */
export type Known<C extends string, Payload> = [Payload] extends [never] ? never : C;

/** `Then` when nothing is known about `S`, because no map was given. */
type IfAny<S, Then, Else> = 0 extends 1 & S ? Then : Else;

/** What the service `K` of the map `S` is asked with. */
export type Question<S, K extends keyof S> = IfAny<S, any, Asked<S[K]>>;
type Asked<F> = F extends (data: infer D) => unknown ? D : never;

/** What it answers. */
export type Answer<S, K extends keyof S> = IfAny<S, any, Answered<S[K]>>;
type Answered<F> = F extends (data: any) => infer R ? Awaited<R> : never;

/**
 * `disconnected`: nothing runs. `connecting`: on the way to the first success.
 * `connected`: the server answers. `reconnecting`: it did, and will again.
 * `disconnecting`: the goodbye is on its way.
 */
export type State = "disconnected" | "connecting" | "connected" | "reconnecting" | "disconnecting";

/** What a `state` listener gets. */
export interface StateEvent {
  state: State;
  previous: State;
  /** Why, when it was not asked for. */
  reason?: BayeuxError;
  /** With `connected`: the session is the same as before. */
  resumed?: boolean;
}

/** Messages that can no longer be had: the server forgot them before this client read them. */
export interface GapEvent {
  /** The subscription concerned; absent when the server speaks of the whole session. */
  channel?: string;
  /** The last position seen before the gap, when it is known. */
  since?: number;
  /** What the server said, as it said it. */
  detail: unknown;
}

/** Something that no promise may be waiting for: a throwing callback, a refused subscription. */
export interface ErrorEvent {
  error: unknown;
  channel?: string;
}

/** Events of a client. Each state is also an event of its own name. */
export interface ClientEvents extends Record<State, StateEvent> {
  state: StateEvent;
  gap: GapEvent;
  error: ErrorEvent;
}

export interface ClientOptions {
  /** In order of preference. The first one that works is used; the others are the fallback. */
  transports: readonly Transport[];
  /**
   * Called before every handshake; what it returns travels as `ext.token`. After a refusal (401, 403) it is
   * called again with the refusal, to fetch a fresh one, and the handshake is tried once more.
   */
  token?: (refused?: BayeuxError) => string | undefined | Promise<string | undefined>;
  /** More fields for the handshake message, `ext` for instance. */
  handshake?: Record<string, any>;
  /** Ask for acknowledged delivery (default true). A server that does not know it ignores it. */
  ack?: boolean;
  /** Ask for positions and replay (default true). A server that does not know it ignores it. */
  replay?: boolean;
  /** How long a reply may take, on top of the time a connect is held; longer means the link is dead. Default 10 000 ms. */
  networkTimeout?: number;
  /** Back-off: the n-th wait is random between 0 and `min(backoffMax, backoff * 2^n)`. Defaults 1 000 and 30 000 ms. */
  backoff?: number;
  backoffMax?: number;
}

export interface RequestOptions {
  /** Gives up waiting; a message not yet written is not sent at all. */
  signal?: AbortSignal;
  /** More fields for the message, `ext` for instance. */
  fields?: Record<string, any>;
}

export interface PublishOptions extends RequestOptions {
  /**
   * How often the message may be written before its promise fails. Default 1: what was written when the link broke
   * is reported as lost, because the server may or may not have it. Waiting for a connection does not count.
   * With more than one the message carries a key, `ext.idempotency`, by which bayeuxd takes it once all the same.
   */
  attempts?: number;
}

export interface CallOptions extends RequestOptions {
  /** How long the answer may take; the promise then fails with `406::timeout`. Default: `networkTimeout`. */
  timeout?: number;
}

export interface SubscribeOptions {
  /** Ends the subscription. */
  signal?: AbortSignal;
  /** Where to start: -1 now (default), -2 everything retained, N after position N. Needs a server with replay. */
  replay?: number;
  /** For iteration: how many messages may wait to be read. Default 1 000. */
  buffer?: number;
  /** For iteration, when the buffer is full: end it with an error (default) or drop the oldest. */
  overflow?: "error" | "drop";
  /** More fields for the subscribe message. */
  fields?: Record<string, any>;
}
