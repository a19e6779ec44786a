/* Scenario: the broker is asked to stop, says good-bye to its clients, and is started again. */
import { recovers } from "../harness/recovery.mjs";

export const title = "recovers when the broker is stopped and started again";
export const ownBroker = true;

export const run = (world) => recovers(world, (broker) => broker.stop());
