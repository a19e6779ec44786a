/*
 * Channel patterns: `/a/*` is one level, `/a/**` one or more, only as the last segment.
 * Used by subscriptions and the compatibility layers. Never validates: the server decides what a channel is.
 */
export const matches = (pattern: string, channel: string): boolean => {
  const base = pattern.replace(/\*+$/, "");
  if (base == pattern) return pattern == channel;
  return channel.startsWith(base) && (pattern.endsWith("**") || !channel.slice(base.length).includes("/"));
};
