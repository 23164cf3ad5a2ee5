/**
 * What tabs of one origin have in common: locks, which a tab that ends gives back, and channels.
 *
 * Source: w3.org/TR/web-locks. Not here: what they agree on (client/events/shared-events.ts).
 */
import { DbError } from '../../base/index.ts'

export interface TabChannel {
  /** To all other tabs that listen, in order; structured clone. */
  post(message: unknown): void
  close(): void
}

export interface Tabs {
  /**
   * Waits until no other tab holds the lock, then holds it until what is returned is called, or the tab ends.
   * Rejects with the signal's reason when that is given first.
   */
  lock(name: string, signal: AbortSignal): Promise<() => void>
  channel(name: string, receive: (message: any) => void): TabChannel
}

interface Locks {
  request(name: string, options: { signal: AbortSignal }, held: () => Promise<void>): Promise<void>
}

/** Raises feature_not_supported where a page is not served safely: over HTTPS, or from this host. */
export function sharedTabs(): Tabs {
  const { locks } = (globalThis as { navigator?: { locks?: Locks } }).navigator ?? {}
  if (locks === undefined) {
    throw new DbError('feature_not_supported', 'there are no locks between tabs here', {
      hint: 'Serve the page over HTTPS, or from localhost.',
    })
  }
  return {
    lock: (name, signal) =>
      new Promise((resolve, reject) => {
        const held = () => new Promise<void>((release) => resolve(release))
        locks.request(name, { signal }, held).catch(reject)
      }),
    channel: (name, receive) => {
      const channel = new BroadcastChannel(name)
      channel.onmessage = (event) => receive((event as { data: unknown }).data)
      return { post: (message) => channel.postMessage(message), close: () => channel.close() }
    },
  }
}
