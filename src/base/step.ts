/**
 * What a cursor or an operator answers: small integers, so that a hot loop neither allocates nor awaits.
 *
 * ROW   there is a row (or a batch) to read
 * END   there is nothing more
 * WAIT  something is not in memory or not granted yet; the driver awaits `ready()` and calls again
 * YIELD the time slice is used up; the driver lets other work run and calls again
 */
export const ROW = 1
export const END = 0
export const WAIT = 2
export const YIELD = 3
export type Step = typeof ROW | typeof END | typeof WAIT | typeof YIELD
