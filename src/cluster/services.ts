/**
 * The numbers of services that nodes ask each other for, in one place so that no two have the same.
 *
 * Not here: what they do.
 */
export const serviceSnapshot = 2
export const serviceTransaction = 3
export const serviceTableLocks = 4
export const serviceChanges = 5
export const serviceBroadcast = 6
export const serviceAdvisory = 7
export const serviceDecommission = 8
/** Which of some transactions have ended. */
export const serviceEnded = 9
/** Who waits for whom: for finding deadlocks that span nodes. */
export const serviceWaits = 10
/** Stores of event databases meet. */
export const serviceEvents = 11
