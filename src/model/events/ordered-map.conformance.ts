/**
 * What every ordered map must do, as one suite that each implementation's tests run, in Node and in browsers: it brings no
 * test runner and asserts by throwing.
 *
 * Not here: crashes (test/sim/events).
 */
import type { Change, Entry, OrderedMap } from './ordered-map.ts'

/** Opens the map that earlier calls with the same name wrote, or an empty one. */
export type OpenMap = (name: string) => Promise<OrderedMap>
export type TestFunction = (name: string, run: () => Promise<void>) => void

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0))
const text = (value: Uint8Array | undefined): string | undefined => value && String.fromCharCode(...value)
const put = (key: string, value: string): Change => ({ key: bytes(key), value: bytes(value) })
const remove = (key: string): Change => ({ key: bytes(key), value: undefined })
const show = (entries: readonly Entry[]): string => entries.map((e) => `${text(e.key)}=${text(e.value)}`).join(' ')

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${a} is not ${b}`)
}

const all = { from: new Uint8Array(0), to: Uint8Array.of(255, 255), limit: 1_000_000 }

/** `durable`: what is written is there when the map is opened again. */
export function orderedMapConformance(test: TestFunction, name: string, open: OpenMap, durable: boolean): void {
  test(`${name}: values come back, are replaced and go`, async () => {
    const map = await open('values')
    await map.write([put('a', '1'), put('b', ''), put('c', '3')])
    await map.write([put('a', '2'), remove('c'), remove('never')])
    const found = await map.get(['a', 'b', 'c', 'never'].map(bytes))
    same(
      found.map((v) => text(v) ?? 'none'),
      ['2', '', 'none', 'none'],
    )
    same(await map.get([]), [])
    await map.write([])
    same(show(await map.scan(all)), 'a=2 b=')
    await map.close()
  })

  test(`${name}: scans are in the order of unsigned bytes, half-open, limited, both ways`, async () => {
    const map = await open('scans')
    const keys = ['a', 'a\0', 'ab', 'b', '\x7f', '\x80', '\xff', '\xff\x01', '']
    await map.write(keys.toReversed().map((key) => put(key, key)))
    const found = await map.scan(all)
    same(
      found.map((e) => text(e.key)),
      ['', 'a', 'a\0', 'ab', 'b', '\x7f', '\x80', '\xff', '\xff\x01'],
    )
    const scan = async (from: string, to: string, more: object = {}) =>
      show(await map.scan({ from: bytes(from), to: bytes(to), limit: 10, ...more }))
    same(await scan('a\0', 'b'), 'a\0=a\0 ab=ab')
    same(await scan('a', 'c', { limit: 2 }), 'a=a a\0=a\0')
    same(await scan('a', 'c', { reverse: true }), 'b=b ab=ab a\0=a\0 a=a')
    same(await scan('a', 'b', { reverse: true, limit: 1 }), 'ab=ab')
    same(await scan('b', 'b'), '')
    same(await scan('c', 'd', { reverse: true }), '')
    await map.close()
  })

  test(`${name}: batches take effect in the order of the calls, and readers see what has resolved`, async () => {
    const map = await open('order')
    const writes: Promise<void>[] = []
    for (let i = 0; i < 50; i++) writes.push(map.write([put('k', `${i}`), put(`k${i}`, `${i}`)]))
    await Promise.all(writes)
    same(text((await map.get([bytes('k')]))[0]), '49')
    same((await map.scan(all)).length, 51)
    await map.close()
  })

  test(`${name}: what is read is the reader's, and large values are whole`, async () => {
    const map = await open('large')
    const large = Uint8Array.from({ length: 1_500_000 }, (_, i) => (i * 7) & 255)
    await map.write([{ key: bytes('large'), value: large }, put('small', 'x')])
    const [first] = await map.scan(all)
    for (let i = 0; i < 40; i++) await map.write([put(`more${i}`, 'y'.repeat(10_000))])
    const [again] = await map.get([bytes('large')])
    for (const value of [first.value, again!]) {
      same(value.length, large.length)
      for (let i = 0; i < large.length; i += 997) same(value[i], large[i])
    }
    await map.close()
  })

  test(`${name}: thousands of random changes leave what a plain map would have`, async () => {
    const map = await open('random')
    const model = new Map<string, string>()
    let word = 42
    const below = (n: number) => {
      word ^= word << 13
      word ^= word >>> 17
      word ^= word << 5
      return (word >>> 0) % n
    }
    for (let round = 0; round < 60; round++) {
      const changes = new Map<string, Change>()
      for (let i = below(60); i >= 0; i--) {
        const key = `${below(400)}`
        const value = `${round}.${i}`
        if (below(4) === 0) {
          changes.set(key, remove(key))
          model.delete(key)
        } else {
          changes.set(key, put(key, value))
          model.set(key, value)
        }
      }
      await map.write([...changes.values()])
    }
    const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${k}=${v}`)
    same(show(await map.scan(all)), expected.join(' '))
    same(show(await map.scan({ ...all, reverse: true })), expected.toReversed().join(' '))
    await map.close()
  })

  test(`${name}: what was accepted is the caller's again, and counts in the order of the calls`, async () => {
    const map = await open('accepted')
    const writes: Promise<void>[] = []
    for (let i = 0; i < 200; i++) {
      const change = { key: Uint8Array.of(i % 7), value: new Uint8Array(1_000).fill(i) }
      const write = new Promise<void>((done, fail) => {
        const copied = () => {
          change.key.fill(255)
          change.value.fill(255)
          done()
        }
        writes.push(map.write([change], copied))
        writes[i].then(done, fail)
      })
      await write
    }
    await Promise.all(writes)
    const entries = await map.scan(all)
    same(entries.map((e) => `${e.key[0]}=${e.value[999]}`).join(' '), '0=196 1=197 2=198 3=199 4=193 5=194 6=195')
    await map.close()
  })

  test(`${name}: after it is closed it rejects, and another of another name knows nothing of it`, async () => {
    const map = await open('closed')
    await map.write([put('a', '1')])
    const other = await open('closed too')
    same((await other.scan(all)).length, 0)
    await map.close()
    for (const call of [map.write([put('b', '2')]), map.get([bytes('a')]), map.scan(all)]) {
      same(
        await call.then(
          () => 'resolved',
          () => 'rejected',
        ),
        'rejected',
      )
    }
    if (durable) {
      const again = await open('closed')
      same(show(await again.scan(all)), 'a=1')
      await again.close()
    }
    await other.close()
  })
}
