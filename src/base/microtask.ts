/**
 * Runs something as soon as the code that is running has ended, before timers and input. Unlike `queueMicrotask`, it is
 * not replaced by the fake timers of test runners.
 */
const now = Promise.resolve()

export function microtask(run: () => void): void {
  void now.then(run)
}
