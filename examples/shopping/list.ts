/**
 * A shopping list as events, and the view that makes the list of them. Each phone has its own store; what two people do
 * while they cannot reach each other is all kept, and comes out the same for both.
 *
 * Not here: what it looks like (app.ts).
 */
import { type ViewEvent, view } from 'latticedb/events'

export type ListEvent =
  | { readonly type: 'added'; readonly item: string; readonly name: string; readonly by: string }
  | { readonly type: 'checked'; readonly item: string; readonly done: boolean; readonly by: string }
  | { readonly type: 'removed'; readonly item: string; readonly by: string }

export interface Item {
  readonly name: string
  readonly addedBy: string
  /** When, milliseconds. */
  readonly addedAt: number
  readonly doneBy: string | undefined
}

interface State {
  item: Item | null
}

/** By item: what was done to it, in the order in which it was done, wherever and whenever that becomes known. */
export const items = view<ListEvent>()({
  name: 'items',
  version: 1,
  key: (event) => event.value.item,
  initial: (): State => ({ item: null }),
  reduce: (state, event) => ({ item: after(state.item, event) }),
  result: (state) => state.item,
})

function after(item: Item | null, { value, atMs }: ViewEvent<ListEvent>): Item | null {
  switch (value.type) {
    case 'added':
      return { name: value.name, addedBy: value.by, addedAt: atMs, doneBy: undefined }
    case 'checked':
      return item && { ...item, doneBy: value.done ? value.by : undefined }
    case 'removed':
      return null
  }
}
