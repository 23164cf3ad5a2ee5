/**
 * The page of the shopping list: React over the list's view, and a sync that goes on by itself.
 *
 *   ?db=http://127.0.0.1:7480/db/shopping   the database to meet      ?name=Ann   who you are
 *
 * Not here: what happens to the list (list.ts).
 */
import { EventStore, type LiveStatus } from 'latticedb/events'
import { useEntries } from 'latticedb/events/react'
import { createElement as h, type SyntheticEvent, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { type Item, items, type ListEvent } from './list.ts'

const parameters = new URLSearchParams(location.search)
const database = parameters.get('db') ?? 'http://127.0.0.1:7480/db/shopping'
const me = parameters.get('name') ?? 'You'

const store = await EventStore.open<ListEvent>('shopping')
type Shown = { readonly key: string; readonly value: Item }

function App() {
  const { entries, loading } = useEntries(store, items, 10_000)
  const shown = entries.filter((e): e is Shown => e.value !== null)
  shown.sort((a, b) => a.value.addedAt - b.value.addedAt || (a.key < b.key ? -1 : 1))
  const open = shown.filter(({ value }) => value.doneBy === undefined)
  const done = shown.filter(({ value }) => value.doneBy !== undefined)
  return h(
    'main',
    null,
    h(Header, { open: open.length, done: done.length }),
    h(NewItem),
    open.length > 0 && h(Section, { title: 'To get', entries: open }),
    done.length > 0 && h(Section, { title: 'In the basket', entries: done }),
    shown.length === 0 && !loading && h('p', { className: 'empty' }, 'Nothing to get. Enjoy the day.'),
    h(Footer),
  )
}

function Header({ open, done }: { open: number; done: number }) {
  const all = open + done
  const share = all === 0 ? 0 : done / all
  return h(
    'header',
    null,
    h(
      'div',
      { className: 'title' },
      h('h1', null, 'Sunday picnic'),
      h('p', null, all === 0 ? 'A fresh list' : open === 0 ? 'All packed' : `${open} of ${all} still to get`),
    ),
    h(
      'div',
      { className: 'ring', style: { '--share': share }, role: 'img', 'aria-label': `${done} of ${all} done` },
      h('span', null, `${Math.round(share * 100)}%`),
    ),
  )
}

function NewItem() {
  const [name, setName] = useState('')
  const submit = (event: SyntheticEvent) => {
    event.preventDefault()
    const text = name.trim()
    if (text === '') return
    setName('')
    void act({ type: 'added', item: crypto.randomUUID(), name: text, by: me })
  }
  return h(
    'form',
    { onSubmit: submit },
    h('input', {
      value: name,
      placeholder: 'Add something…',
      'aria-label': 'Add something',
      maxLength: 80,
      autoComplete: 'off',
      onChange: (event: { target: HTMLInputElement }) => setName(event.target.value),
    }),
    h('button', { type: 'submit', 'aria-label': 'Add', disabled: name.trim() === '' }, '+'),
  )
}

function Section({ title, entries }: { title: string; entries: readonly Shown[] }) {
  return h(
    'section',
    { 'aria-label': title },
    h('h2', null, title, h('span', null, entries.length)),
    h(
      'ul',
      null,
      entries.map(({ key, value }) => h(Row, { key, item: key, value })),
    ),
  )
}

function Row({ item, value }: { item: string; value: Item }) {
  const { name, addedBy, doneBy } = value
  const done = doneBy !== undefined
  const who = doneBy ?? addedBy
  return h(
    'li',
    { className: done ? 'done' : '' },
    h('button', {
      type: 'button',
      className: 'check',
      'aria-label': done ? `Put ${name} back` : `Check ${name}`,
      'aria-pressed': done,
      onClick: () => act({ type: 'checked', item, done: !done, by: me }),
    }),
    h('span', { className: 'name' }, name),
    h(
      'span',
      { className: 'who', title: done ? `got by ${who}` : `added by ${who}`, style: { '--hue': hueOf(who) } },
      who[0],
    ),
    h(
      'button',
      {
        type: 'button',
        className: 'remove',
        'aria-label': `Remove ${name}`,
        onClick: () => act({ type: 'removed', item, by: me }),
      },
      '×',
    ),
  )
}

/** How the store and the server stand: told in words, and by a dot. */
function Footer() {
  const status = useLiveSync()
  const waiting = useWaiting(status)
  const offline = status.state === 'offline' || (status.state === 'connecting' && status.error !== undefined)
  const many = waiting === 1 ? '1 change' : `${waiting} changes`
  const text = offline
    ? waiting > 0
      ? `Offline. ${many} to send later`
      : 'Offline. Go on, nothing gets lost'
    : status.state === 'synced' && waiting === 0
      ? 'Everything is in sync'
      : 'Syncing…'
  const state = offline ? 'offline' : status.state
  return h(
    'footer',
    { 'data-state': state },
    h('span', { className: 'dot' }),
    h('span', { role: 'status' }, text),
    h('span', { className: 'me', style: { '--hue': hueOf(me) } }, me),
  )
}

/** The last error stays until the next sync: while it is tried again, the server is no nearer. */
function useLiveSync(): LiveStatus {
  const [status, setStatus] = useState<LiveStatus>({ state: 'connecting' })
  useEffect(() => {
    const controller = new AbortController()
    const onStatus = (next: LiveStatus) =>
      setStatus((last) => (next.state === 'connecting' ? { ...next, error: last.error } : next))
    const failed = (error: LiveStatus['error']) => setStatus({ state: 'offline', error })
    store.sync(database, { live: true, signal: controller.signal, onStatus }).catch(failed)
    return () => controller.abort()
  }, [])
  return status
}

/** Changes made here since the last sync. */
function useWaiting({ state }: LiveStatus): number {
  const [synced, setSynced] = useState(store.position)
  const [position, setPosition] = useState(store.position)
  useEffect(() => store.subscribe(() => setPosition(store.position)), [])
  useEffect(() => {
    if (state === 'synced') setSynced(position)
  }, [state, position])
  return Math.max(0, position - synced)
}

/** A finger that types fast is not kept waiting; what could not be stored is said. */
async function act(event: ListEvent): Promise<void> {
  try {
    await store.append(event)
  } catch (error) {
    alert(`This could not be kept: ${(error as Error).message}`)
  }
}

function hueOf(name: string): number {
  let hue = 0
  for (const c of name) hue = (hue * 31 + c.charCodeAt(0)) % 360
  return hue
}

createRoot(document.querySelector('#app')!).render(h(App))
