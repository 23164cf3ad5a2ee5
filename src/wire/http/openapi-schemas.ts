/**
 * What is in requests and answers, as JSON Schemas of the OpenAPI document.
 *
 * Not here: routes (openapi.ts).
 */
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` })

const integer = { type: 'integer', minimum: 0 }
const text = { type: 'string' }
const object = (required: readonly string[], properties: Record<string, object>, more = false) => ({
  type: 'object',
  required,
  properties,
  additionalProperties: more,
})
const list = (items: object) => ({ type: 'array', items })

const event = {
  key: ref('Key'),
  at: { ...integer, description: 'When it happened, milliseconds since 1970.' },
  position: { ...integer, description: "Where in this store's order of reception." },
  origin: { ...text, description: 'The store that received it first, and its incarnation.' },
  sequence: { ...integer, description: "The origin's count of its own events." },
  timestamp: { ...integer, description: 'Hybrid timestamp of the append, microseconds.' },
  contentType: text,
  value: { description: 'JSON as it was appended; of text, a string.' },
  base64: { ...text, description: 'The value, of every other type.' },
  redacted: { const: true, description: 'The value was erased.' },
}

export const schemas = {
  Key: { type: 'string', pattern: '^[0-7][0-9A-HJKMNP-TV-Z]{25}$', description: 'ULID.' },
  Cursor: { type: 'string', pattern: '^[0-9a-f]{32}\\.[0-9a-f]{16}\\.[0-9]+$' },
  Event: object(['key', 'at', 'position', 'origin', 'sequence', 'timestamp', 'contentType'], event),
  Page: object(['events', 'next', 'cursor'], {
    events: list(ref('Event')),
    next: { ...integer, description: 'Continue with lc= this.' },
    cursor: { ...ref('Cursor'), description: 'The same with its store, which another store refuses.' },
  }),
  Bulk: object(['events'], { events: list({ oneOf: [ref('Event'), { type: 'null' }] }) }),
  Range: object(['events'], { events: list(ref('Event')), afterKey: ref('Key') }),
  Keys: object(['keys'], { keys: list(ref('Key')) }),
  Envelope: object([], {
    key: ref('Key'),
    at: { oneOf: [integer, text] },
    value: {},
    base64: text,
    contentType: text,
  }),
  Databases: object(['databases'], { databases: list(text) }),
  Settings: object([], { schema: { type: 'object', description: 'JSON Schema of the values.' } }),
  Database: object(['name', 'store', 'incarnation', 'position', 'count'], {
    name: text,
    store: { type: 'string', pattern: '^[0-9a-f]{32}$' },
    incarnation: { type: 'string', pattern: '^[0-9a-f]{16}$' },
    position: integer,
    count: integer,
    schema: { type: 'object' },
  }),
  Conflicts: object(['conflicts'], {
    conflicts: list(object(['key', 'kept', 'other'], { key: ref('Key'), kept: ref('Event'), other: ref('Event') })),
  }),
  Error: object(['code', 'error'], {
    code: text,
    sqlstate: text,
    error: text,
    detail: text,
    hint: text,
    where: text,
    retry: { type: 'boolean' },
    appended: { ...integer, description: 'Events of a stream that were appended before it failed.' },
  }),
}
