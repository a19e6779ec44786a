/*
 * AbortSignal without its two traps: a signal that was aborted before, and listeners left behind.
 * Used wherever the API takes a signal. Never throws.
 */

/** Calls back when the signal aborts, or has already; returns how to stop listening. */
export const onAbort = (signal: AbortSignal | undefined, react: (reason: unknown) => void): (() => void) => {
  const listener = () => react(signal!.reason);
  if (signal?.aborted) listener();
  signal?.addEventListener("abort", listener);
  return () => signal?.removeEventListener("abort", listener);
};
