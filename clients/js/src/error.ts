/*
 * The one error type: a server's `code:args:text`, or a local failure with a text only.
 * Made by session, outbox and subscriptions; caught by applications.
 * Never decides what to do about an error.
 */
import type { Message } from "./types.js";

/**
 * `code` is the server's, or an HTTP status; 0 for local failures (the link broke, the client was disconnected),
 * except `406::timeout`, which is how CometD calls an answer that came too late.
 */
export class BayeuxError extends Error {
  readonly code: number;
  readonly args: string[];
  readonly text: string;

  /** @param reply the refusing message, when it was the server that spoke */
  constructor(error: unknown, readonly reply?: Message) {
    super(error as string);
    const [, code, args, text] = /^(\d+):([^:]*):([^]*)/.exec(this.message) ?? [, 0, "", this.message];
    this.name = "BayeuxError";
    this.code = +code!;
    this.args = args ? args.split(",") : [];
    this.text = text!;
  }
}
