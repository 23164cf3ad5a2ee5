/**
 * JavaScript's Date, for clients that expect timestamps as such: made from a number, never from the clock.
 *
 * Not here: reading the time (node-clock.ts).
 */

/** @param millis since the Unix epoch. */
export function dateOfMillis(millis: number): Date {
  return new Date(millis)
}
