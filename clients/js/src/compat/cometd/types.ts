/*
 * The words of CometD's JavaScript API, as types only. Used by the files beside this one and by applications.
 */
import type { Advice, Message as CoreMessage } from "../../types.js";
import type { CometD } from "./cometd.js";
import type { CometDTransport } from "./transports.js";

export type { Advice };

/** What a failed message tells about its failure. */
export interface Failure {
  message: Message;
  reason: string;
  connectionType?: string;
  transport?: CometDTransport | null;
  exception?: unknown;
  httpCode?: number;
}

export interface Message extends CoreMessage {
  /** On a handshake reply: this is not the first one. */
  reestablish?: boolean;
  failure?: Failure;
}

export type Callback = (message: Message) => void;
export type Status = "disconnected" | "handshaking" | "connecting" | "connected" | "disconnecting";
export type LogLevel = "error" | "warn" | "info" | "debug";

export interface Configuration {
  url: string;
  /** URLs by transport type, where they differ. */
  urls?: Record<string, string>;
  logLevel?: LogLevel;
  /** WebSocket subprotocol. */
  protocol?: string | null;
  /** The first step of the back-off; later ones double, with full jitter. */
  backoffIncrement?: number;
  maxBackoff?: number;
  maxNetworkDelay?: number;
  requestHeaders?: Record<string, string>;
  appendMessageTypeToURL?: boolean;
  maxURILength?: number;
  advice?: Advice;
  /** Not in CometD: make subscriptions again by itself after a re-handshake. Default false, as applications do it. */
  resubscribe?: boolean;
  /** Not in CometD: the WebSocket and fetch to use instead of the global ones. */
  WebSocket?: unknown;
  fetch?: typeof fetch;
  /** Accepted and without effect here: see the README. */
  useWorkerScheduler?: boolean;
  stickyReconnect?: boolean;
  connectTimeout?: number;
  maxConnections?: number;
  autoBatch?: boolean;
  maxSendBayeuxMessageSize?: number;
  [key: string]: unknown;
}

/** What `addListener` and `subscribe` return. Treat it as opaque. */
export interface Handle {
  readonly id: number;
  readonly channel: string;
  readonly scope: unknown;
  readonly callback: Callback;
  readonly listener: boolean;
}
export type ListenerHandle = Handle;
export type SubscriptionHandle = Handle;

export interface Extension {
  incoming?(message: Message): Message | null | void;
  outgoing?(message: Message): Message | null | void;
  registered?(name: string, cometd: CometD): void;
  unregistered?(): void;
}

/** What `onTransportFailure` decides about. Only `action` "none" and `url` are obeyed here. */
export interface FailureInfo {
  cause: "negotiation" | "unsuccessful" | "failure";
  action: "handshake" | "retry" | "none";
  transport: CometDTransport | null;
  delay?: number;
  url?: string;
}

export type Bytes = number[] | ArrayBuffer | ArrayBufferView;
