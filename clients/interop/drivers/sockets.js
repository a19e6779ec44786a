/*
 * Reports every WebSocket that a client opens through the global constructor, and how it ended.
 * Called once by each host before a client is created. The socket itself is the platform's own, unchanged.
 */

export function watchSockets(scope, emit) {
  scope.WebSocket = class extends scope.WebSocket {
    constructor(...parameters) {
      super(...parameters);
      this.addEventListener("open", () => emit({ event: "socket", state: "open" }));
      this.addEventListener("close", ({ code, wasClean }) => emit({ event: "socket", state: "closed", code, wasClean }));
    }
  };
}
