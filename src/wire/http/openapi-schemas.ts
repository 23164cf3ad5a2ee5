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

const positions = { type: 'object', additionalProperties: integer, description: 'By store.' }

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
  Bulk: object(['events'], {
    events: list({ oneOf: [ref('Event'), { type: 'null' }] }),
    rest: { ...list(text), description: 'Keys for which there was no more room: ask for them next.' },
  }),
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
    after: { ...text, description: 'There may be more: continue with after= this.' },
  }),
  Peer: object(['peer'], {
    peer: { ...text, description: 'Address of a database: http://127.0.0.1:7480/db/orders.' },
    token: { ...text, description: 'Bearer token that the other one asks for.' },
    live: { type: 'boolean', description: 'Stay in touch, also after a restart.' },
  }),
  Peers: object(['peers', 'links'], {
    peers: list(
      object(['store', 'incarnation', 'received', 'position', 'acknowledged', 'lag', 'metMs'], {
        store: text,
        incarnation: text,
        received: { ...integer, description: 'All of theirs up to this position of theirs is here.' },
        position: { ...integer, description: 'Their newest position that was heard of.' },
        acknowledged: { ...integer, description: 'All of ours up to this position of ours is there.' },
        lag: object(['toReceive', 'toSend'], { toReceive: integer, toSend: integer }),
        metMs: { ...integer, description: 'Milliseconds since 1970 of the last meeting.' },
      }),
    ),
    links: list(
      object(['peer', 'state'], {
        peer: text,
        state: { enum: ['connecting', 'syncing', 'synced', 'offline'] },
        error: text,
      }),
    ),
  }),
  SyncReport: object(
    ['peer', 'sent', 'received'],
    { peer: { type: 'object' }, sent: integer, received: integer },
    true,
  ),
  ViewDefinition: object(['version', 'aggregates'], {
    name: text,
    version: { type: 'integer', minimum: 1 },
    store: text,
    key: { ...text, description: 'JSON pointer to what events are grouped by.' },
    aggregates: {
      type: 'object',
      additionalProperties: {
        oneOf: [{ const: 'count' }, { type: 'object', minProperties: 1, maxProperties: 1, additionalProperties: text }],
      },
    },
  }),
  View: object(['name', 'version', 'keyed', 'commutative', 'state', 'positions', 'behind'], {
    name: text,
    version: integer,
    keyed: { type: 'boolean' },
    commutative: { type: 'boolean' },
    state: { enum: ['building', 'live', 'stopped'] },
    answering: object(['version', 'positions'], { version: integer, positions }),
    positions,
    behind: positions,
    failure: object(['message', 'passing'], {
      message: text,
      function: text,
      event: ref('Key'),
      store: text,
      position: integer,
      passing: { type: 'boolean' },
    }),
  }),
  Views: object(['views'], { views: list(ref('View')) }),
  ViewValue: object(['value'], { key: text, value: {} }),
  ViewEntries: object(['entries'], {
    entries: list(object(['key', 'value'], { key: text, value: {} })),
    behind: { ...text, description: 'Continue behind this key.' },
  }),
  ViewChanges: object(['changes', 'next', 'reset'], {
    changes: list(
      object(['view', 'key', 'sequence', 'kind', 'positions'], {
        view: text,
        key: text,
        sequence: integer,
        kind: { enum: ['advance', 'correction', 'rebuilt'] },
        old: {},
        new: {},
        positions,
      }),
    ),
    next: integer,
    reset: { type: 'boolean', description: 'What was read before is void.' },
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
