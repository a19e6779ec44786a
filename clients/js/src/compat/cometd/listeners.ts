/*
 * Who listens to which channel. Listeners (addListener) are local and stay; subscriptions come and go with sessions.
 * Used by CometD. Never sends anything.
 */
import type { Callback, Handle, Message } from "./types.js";

/** The function behind `callback`, `scope, callback` or `scope, "method"`. */
export const resolve = (scope: any, callback: unknown): { scope: unknown; callback: Callback } => {
  if (typeof scope == "function") return { scope: undefined, callback: scope };
  const method = typeof callback == "string" ? scope?.[callback] : callback;
  if (typeof method != "function") throw new Error("Invalid callback " + String(callback));
  return { scope, callback: method };
};

/** Every channel name under which a message on `channel` is heard: itself, then globs from the nearest. */
const heardAs = (channel: string): string[] => {
  const parts = channel.split("/");
  const names = [channel, parts.slice(0, -1).join("/") + "/*"];
  for (let depth = parts.length - 1; depth > 0; depth--) names.push(parts.slice(0, depth).join("/") + "/**");
  return names;
};

export class Listeners {
  private _handles = new Map<string, Set<Handle>>();
  private _lastId = 0;

  /** @param thrown told about a callback that throws */
  constructor(private readonly _thrown: (error: unknown, handle: Handle, message: Message) => void) {}

  add(channel: string, scope: unknown, callback: unknown, listener: boolean): Handle {
    const handle: Handle = { id: ++this._lastId, channel, ...resolve(scope, callback), listener };
    const handles = this._handles.get(channel) ?? new Set();
    this._handles.set(channel, handles.add(handle));
    return handle;
  }

  remove(handle: Handle | undefined): void {
    if (handle) this._handles.get(handle.channel)?.delete(handle);
  }

  subscriptions(channel: string): Handle[] {
    return [...(this._handles.get(channel) ?? [])].filter(({ listener }) => !listener);
  }

  allSubscriptions(): Handle[] {
    return [...this._handles.keys()].flatMap((channel) => this.subscriptions(channel));
  }

  clear(): void {
    this._handles.clear();
  }

  notify(channel: string, message: Message): void {
    for (const name of heardAs(channel)) {
      for (const handle of [...(this._handles.get(name) ?? [])]) {
        try {
          handle.callback.call(handle.scope, message);
        } catch (error) {
          this._thrown(error, handle, message);
        }
      }
    }
  }
}
