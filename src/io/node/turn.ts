/**
 * One turn of the event loop: resolves after the input that is already there has been handled and all microtasks
 * have run. The simulator drains microtasks with it between two events.
 *
 * Not here: delays.
 */
import { setImmediate } from 'node:timers'

// Taken when this module is loaded, and not from the globals: fake timers of a test do not stop simulations.
const immediate = setImmediate

export function turn(): Promise<void> {
  return new Promise((done) => immediate(done))
}

/** The same with a callback, without a promise. */
export function afterTurn(run: () => void): void {
  immediate(run)
}
