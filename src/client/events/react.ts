/**
 * `latticedb/events/react`: what a view answers, as state of a component that is drawn again when it changes.
 *
 *   const { value } = useView(store, total)                 a view of one state
 *   const { value } = useView(store, perCustomer, 'ann')    one key
 *   const { entries } = useEntries(store, perCustomer)      all keys
 *
 * A view is made once, outside of components: it is known by its identity. Not here: React itself, an optional peer.
 */
import { useEffect, useState } from 'react'
import type { View } from '../../model/events/views/index.ts'
import type { SyncedStore, ViewHandle } from './synced-store.ts'

export interface ViewState<A> {
  /** Undefined until the first answer, and where no event concerns the key. */
  readonly value: A | undefined
  readonly loading: boolean
  /** The last read failed; the value is the one before. */
  readonly error: Error | undefined
}

export function useView<A>(store: SyncedStore<any, any>, view: View<any, A>, key?: string): ViewState<A> {
  const concerns = (changed: string | undefined) => changed === undefined || changed === (key ?? '')
  return useRead(store, view, key ?? '', (handle) => handle.get(key), concerns)
}

export interface EntriesState<A> extends Omit<ViewState<A>, 'value'> {
  readonly entries: readonly { readonly key: string; readonly value: A }[]
}

const none: readonly never[] = []

/** The first `limit` keys of a view, 1,000 when not said. */
export function useEntries<A>(store: SyncedStore<any, any>, view: View<any, A>, limit = 1_000): EntriesState<A> {
  const { value, ...rest } = useRead(
    store,
    view,
    `${limit}`,
    (handle) => handle.entries({ limit }),
    () => true,
  )
  return { ...rest, entries: value ?? none }
}

/** @param what changes when something else is read. */
function useRead<A, R>(
  store: SyncedStore<any, any>,
  view: View<any, A>,
  what: string,
  read: (handle: ViewHandle<A>) => Promise<R | undefined>,
  concerns: (key: string | undefined) => boolean,
): ViewState<R> {
  const [state, setState] = useState<ViewState<R>>({ value: undefined, loading: true, error: undefined })
  // biome-ignore lint/correctness/useExhaustiveDependencies: the functions are those of `what`
  useEffect(() => {
    const reader = new Reader(store, view, read, concerns, setState)
    return () => reader.stop()
  }, [store, view, what])
  return state
}

/** Reads again after each change, one read at a time. */
class Reader<A, R> {
  readonly #read: (handle: ViewHandle<A>) => Promise<R | undefined>
  readonly #show: (change: (last: ViewState<R>) => ViewState<R>) => void
  #unsubscribe: (() => void) | undefined
  #stopped = false
  #reading = false
  #again = false

  constructor(
    store: SyncedStore<any, any>,
    view: View<any, A>,
    read: (handle: ViewHandle<A>) => Promise<R | undefined>,
    concerns: (key: string | undefined) => boolean,
    show: (change: (last: ViewState<R>) => ViewState<R>) => void,
  ) {
    this.#read = read
    this.#show = show
    store.view(view).then(
      (handle) => {
        if (this.#stopped) return
        this.#unsubscribe = handle.subscribe((key) => {
          if (concerns(key)) void this.#refresh(handle)
        })
        void this.#refresh(handle)
      },
      (error) => this.#fail(error),
    )
  }

  async #refresh(handle: ViewHandle<A>): Promise<void> {
    this.#again = true
    if (this.#reading) return
    this.#reading = true
    while (this.#again && !this.#stopped) {
      this.#again = false
      try {
        const value = await this.#read(handle)
        if (!this.#stopped) this.#show(() => ({ value, loading: false, error: undefined }))
      } catch (error) {
        this.#fail(error)
      }
    }
    this.#reading = false
  }

  #fail(error: unknown): void {
    if (!this.#stopped) this.#show((last) => ({ ...last, loading: false, error: error as Error }))
  }

  stop(): void {
    this.#stopped = true
    this.#unsubscribe?.()
  }
}
