/*
 * Events with types. Base of Session. Never lets a listener's exception reach whoever emits: it goes to the console.
 */
import type { ClientEvents } from "./types.js";

type Listener<E> = (event: E) => void;

export class Emitter {
  #listeners: { [K in keyof ClientEvents]?: Set<Listener<any>> } = {};

  /** Listens until the returned function is called. */
  on<K extends keyof ClientEvents>(type: K, listener: Listener<ClientEvents[K]>): () => void {
    const listeners = (this.#listeners[type] ??= new Set());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** @internal */
  _emit<K extends keyof ClientEvents>(type: K, event: ClientEvents[K]): void {
    const listeners = [...(this.#listeners[type] ?? [])];
    // An error that nobody listens for must not vanish.
    if (type == "error" && !listeners[0]) console.error(event);
    for (const listener of listeners) {
      try {
        listener(event);
      } catch (error) {
        console.error(error);
      }
    }
  }
}
