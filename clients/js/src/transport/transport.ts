/*
 * What a transport is: something that opens links to a URL. Implemented beside this file and by the
 * decorators in compat/. Called only by the session. Never knows sessions, subscriptions or retries.
 */
import type { Message } from "../types.js";

/** The session's side of a link. */
export interface LinkHost {
  /** The Bayeux endpoint as the application gave it: http(s), absolute or relative to the page. */
  readonly url: string;
  /** Messages have arrived, in order. Throws when they are no messages; pass that to `fail`. */
  receive(messages: Message[]): unknown;
  /** The link is known to work. A transport that never says so is never returned to from a fallback. */
  opened(): void;
  /** For a fallback only: opens a link on the preferred transport, beside this one; calls `opened` when that works. */
  preferred?: (opened: () => void) => Link;
  /** The link is broken, and with it every message on it that has no reply yet. */
  fail(why: unknown): unknown;
}

/** One way to the server, until it fails or is closed. */
export interface Link {
  /** Writes the messages, now or as soon as possible, in the order of the calls. */
  send(messages: Message[]): void;
  /** Lets go of the link; afterwards it calls its host no more. */
  close(): void;
  /** For a fallback only: hands over a working link on the preferred transport, if it has found one. */
  better?(): Link | undefined;
}

export interface Transport {
  /** The `connectionType` of the protocol. */
  readonly type: string;
  /** May throw when this environment lacks what it needs: the next transport is tried. */
  open(host: LinkHost): Link;
}
