/**
 * Events out of the body of a request, in batches that are appended one after the other.
 *
 *   application/json                       an array: one event each; anything else: one event
 *   application/x-ndjson                   one event a line; what one chunk of the stream completes is a batch
 *   application/vnd.lattice.events+json    {"key"?, "at"?, "value" | "base64", "contentType"?}, or an array of these
 *   application/vnd.lattice.events+ndjson  the same, one a line
 *   any other                              the body as it is: one event of this content type
 *
 * A stream is pulled as fast as its batches become durable. Forms of web pages are refused: their types need no
 * permission from us to be sent.
 *
 * Not here: appending, keys.
 */
import type { Readable } from 'node:stream'
import { DbError } from '../../base/index.ts'
import type { NewEvent } from '../../model/events/event-store.ts'
import { elementsOf } from './json-slices.ts'
import { envelopeLines, envelopes, isJson, isNdjson, mediaType } from './media-type.ts'
import { readTime } from './parameters.ts'

export interface BodyOptions {
  /** Longest body that is held at once, and longest line of a stream. Bytes. */
  readonly maxBytes: number
  /** Raises for a JSON value that the database's schema refuses. With it only JSON is taken. */
  readonly check?: (value: unknown) => void
  /** Key and time of the one event of the body, from the query. */
  readonly key?: string
  readonly atMs?: number
}

/** Of a stream of lines, appended at once. */
const batchEvents = 5_000
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })
const refused = ['application/x-www-form-urlencoded', 'multipart/form-data']

/** Raises invalid_json_text, unsupported_media_type, request_too_large, event_schema_violation, invalid_parameter_value. */
export async function* readEvents(
  contentType: string | undefined,
  body: Readable | undefined,
  options: BodyOptions,
): AsyncGenerator<NewEvent[]> {
  const type = mediaType(contentType ?? '')
  if (type === '' || refused.includes(type)) throw unsupported(type)
  const own = options.key !== undefined || options.atMs !== undefined
  if (isNdjson(type) || type === envelopeLines) {
    if (own) throw manyWithOne()
    yield* readLines(body, options, type === envelopeLines ? envelopeEvent : jsonEvent)
    return
  }
  const bytes = await readWhole(body, options.maxBytes)
  if (type === envelopes) {
    if (own) throw manyWithOne()
    const value = parse(decode(bytes))
    yield (Array.isArray(value) ? value : [value]).map((one) => fromEnvelope(one, options))
  } else if (type === 'application/json') {
    const text = decode(bytes)
    const value = parse(text)
    if (!Array.isArray(value)) {
      options.check?.(value)
      yield [{ value: bytes, contentType: type, key: options.key, atMs: options.atMs }]
      return
    }
    if (own) throw manyWithOne()
    for (const one of value) options.check?.(one)
    yield elementsOf(text).map((one) => ({ value: encoder.encode(one), contentType: type }))
  } else {
    yield [{ ...raw(bytes, contentType!, options), key: options.key, atMs: options.atMs }]
  }
}

function raw(value: Uint8Array, contentType: string, { check }: BodyOptions): NewEvent {
  if (!/^[ -~]{1,255}$/.test(contentType)) {
    throw new DbError('invalid_parameter_value', 'a content type has 1 to 255 printable ASCII characters')
  }
  if (isJson(mediaType(contentType))) {
    const json = parse(decode(value))
    check?.(json)
  } else if (check !== undefined) {
    throw new DbError('event_schema_violation', `this database has a schema and takes only JSON, not ${contentType}`)
  }
  return { value, contentType }
}

function jsonEvent(line: Uint8Array, options: BodyOptions): NewEvent {
  const value = parse(decode(line))
  options.check?.(value)
  return { value: line, contentType: 'application/json' }
}

function envelopeEvent(line: Uint8Array, options: BodyOptions): NewEvent {
  return fromEnvelope(parse(decode(line)), options)
}

const members = ['key', 'at', 'value', 'base64', 'contentType']

function fromEnvelope(given: unknown, options: BodyOptions): NewEvent {
  const envelope = (given ?? {}) as Record<string, unknown>
  const { key, at, value, base64, contentType } = envelope
  const extra = typeof given === 'object' ? Object.keys(envelope).find((name) => !members.includes(name)) : undefined
  if (extra !== undefined) throw badEnvelope(`has an unknown member "${extra.slice(0, 80)}"`)
  if ((value === undefined) === (base64 === undefined)) throw badEnvelope('needs either "value" or "base64"')
  if (key !== undefined && typeof key !== 'string') throw badEnvelope('has a key that is no string')
  if (contentType !== undefined && typeof contentType !== 'string')
    throw badEnvelope('has a content type that is no string')
  const atMs = at === undefined ? undefined : readTime(at, 'at')
  if (base64 !== undefined) {
    if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) throw badEnvelope('has no valid "base64"')
    const event = raw(Buffer.from(base64, 'base64'), contentType ?? 'application/octet-stream', options)
    return { ...event, key, atMs }
  }
  if (contentType !== undefined && mediaType(contentType).startsWith('text/') && typeof value === 'string') {
    return { ...raw(encoder.encode(value), contentType, options), key, atMs }
  }
  if (contentType !== undefined && !isJson(mediaType(contentType)))
    throw badEnvelope(`needs "base64" for ${contentType}`)
  options.check?.(value)
  return { value: encoder.encode(JSON.stringify(value)), contentType: contentType ?? 'application/json', key, atMs }
}

/** Lines that each chunk completes; the number of a line that is wrong is said. */
async function* readLines(
  body: Readable | undefined,
  options: BodyOptions,
  read: (line: Uint8Array, options: BodyOptions) => NewEvent,
): AsyncGenerator<NewEvent[]> {
  let rest: Uint8Array = new Uint8Array(0)
  let number = 0
  const one = (line: Uint8Array): NewEvent[] => {
    number++
    const text = trimmed(line)
    if (text.length === 0) return []
    try {
      return [read(text, options)]
    } catch (error) {
      if (error instanceof DbError) error.where = `line ${number} of the body`
      throw error
    }
  }
  for await (const chunk of chunksOf(body)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const batch: NewEvent[] = []
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      batch.push(...one(bytes.subarray(start, end)))
      start = end + 1
      if (batch.length === batchEvents) yield batch.splice(0)
    }
    rest = bytes.subarray(start)
    if (batch.length > 0) yield batch
    if (rest.length > options.maxBytes) throw tooLarge(`line ${number + 1}`, options.maxBytes)
  }
  const last = one(rest)
  if (last.length > 0) yield last
}

function trimmed(line: Uint8Array): Uint8Array {
  let start = 0
  let end = line.length
  while (start < end && isSpace(line[start])) start++
  while (end > start && isSpace(line[end - 1])) end--
  return line.subarray(start, end)
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d
}

/** Whoever stops half way has the rest read and dropped: a client that is still sending would not see the refusal. */
async function* chunksOf(body: Readable | undefined): AsyncGenerator<Uint8Array> {
  if (body === undefined) return
  try {
    yield* body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  } finally {
    body.resume()
  }
}

/** Raises request_too_large. */
export async function readWhole(body: Readable | undefined, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunksOf(body)) {
    length += chunk.length
    if (length > maxBytes) throw tooLarge('the body', maxBytes)
    chunks.push(chunk)
  }
  return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
}

export function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new DbError('invalid_json_text', `this is not JSON: ${(error as Error).message}`, { cause: error })
  }
}

export function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch (error) {
    throw new DbError('character_not_in_repertoire', 'JSON must be UTF-8', { cause: error })
  }
}

function tooLarge(what: string, maxBytes: number): DbError {
  return new DbError('request_too_large', `${what} is longer than ${maxBytes} bytes`, {
    hint: 'Send many events as a stream, one a line: application/x-ndjson.',
  })
}

export function unsupported(type: string): DbError {
  return new DbError(
    'unsupported_media_type',
    type === '' ? 'the body has no content type' : `${type} is not taken here`,
    {
      hint: 'Send application/json, application/x-ndjson, or bytes with the content type that they have.',
    },
  )
}

function manyWithOne(): DbError {
  return new DbError('invalid_parameter_value', 'key and at in the query are for one event, not for several', {
    hint: `Send each with its own: content type ${envelopes}, {"key": …, "at": …, "value": …}.`,
  })
}

function badEnvelope(what: string): DbError {
  return new DbError('invalid_parameter_value', `an event ${what}`, {
    hint: `In ${envelopes} an event is {"key"?, "at"?, "value" or "base64", "contentType"?}.`,
  })
}
