/**
 * One turn of the event loop: resolves after the input that is already there has been handled and all microtasks
 * have run. The simulator drains microtasks with it between two events.
 *
 * Not here: delays.
 */
export function turn(): Promise<void> {
  return new Promise((done) => setImmediate(done))
}
