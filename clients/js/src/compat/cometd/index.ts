/*
 * CometD's names for applications that are moving over: change the import, keep the code.
 *
 * ```ts
 * import { CometD } from "@bayeuxd/client/compat/cometd"; // was: from "cometd"
 * ```
 */
export { CometD } from "./cometd.js";
export { AckExtension, BinaryExtension, Extension, ReloadExtension, TimeStampExtension, TimeSyncExtension } from "./extensions.js";
export { CallbackPollingTransport, CometDTransport as Transport, LongPollingTransport, TransportRegistry, WebSocketTransport } from "./transports.js";
export { Z85 } from "./z85.js";
export type * from "./types.js";
