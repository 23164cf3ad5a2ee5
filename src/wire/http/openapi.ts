/**
 * What the port offers, as an OpenAPI 3.1 document. The tests compare it with the routes and check answers against it.
 *
 * Not here: schemas of what is in answers (openapi-schemas.ts).
 */
import { version } from '../../base/index.ts'
import { envelopeLines, envelopes, eventStream } from './media-type.ts'
import { ref, schemas } from './openapi-schemas.ts'

const json = 'application/json'
const ndjson = 'application/x-ndjson'

const content = (schema: object, type = json) => ({ [type]: { schema } })
const answer = (description: string, schema: object) => ({ description, content: content(schema) })
const error = (description: string) => answer(description, ref('Error'))
const query = (name: string, description: string, schema: object) => ({ name, in: 'query', description, schema })
const path = (name: string, description: string) => ({
  name,
  in: 'path',
  required: true,
  description,
  schema: { type: 'string' },
})

const name = path('name', 'The database.')
const unknown = { 404: error('There is no such database.') }
const refused = {
  401: error('A token is needed, or the one given is not known.'),
  403: error('The token may not do this, or the page asking is of an origin that is not listed.'),
}
const common = { ...refused, ...unknown, 400: error('A parameter is wrong.') }
const limit = query('limit', 'At most so many.', { type: 'integer', minimum: 1, maximum: 10_000, default: 1_000 })
const millisOrText = { oneOf: [{ type: 'integer' }, { type: 'string', format: 'date-time' }] }
const notModified = { 304: { description: 'The entity tag in If-None-Match is that of the answer.' } }

const settings = { requestBody: { content: content(ref('Settings')) } }
const made = {
  201: answer('It was made.', ref('Database')),
  409: error('It is there already.'),
  413: error('The schema is too long.'),
  415: error('The settings are no JSON.'),
  ...refused,
  400: error('The name or the schema is wrong, or the name is reserved.'),
}

const appended = {
  summary: 'Append events; answered once they are durable',
  parameters: [
    name,
    query('key', 'ULID of the one event of the body.', ref('Key')),
    query('at', 'When the one event of the body happened.', millisOrText),
  ],
  requestBody: {
    required: true,
    content: {
      [json]: { schema: { description: 'An array: one event each. Anything else: one event.' } },
      [ndjson]: { schema: { type: 'string', description: 'One event a line, as long a stream as you like.' } },
      [envelopes]: { schema: { oneOf: [ref('Envelope'), { type: 'array', items: ref('Envelope') }] } },
      [envelopeLines]: { schema: { type: 'string', description: 'One envelope a line.' } },
      '*/*': { schema: { type: 'string', format: 'binary', description: 'One event: the body as it is.' } },
    },
  },
  responses: {
    ...common,
    201: answer('Their keys, in the order of the body.', ref('Keys')),
    400: error('A key is malformed, or a value is no JSON or refused by the schema.'),
    409: error('A key is there with another value. What was refused is among the conflicts.'),
    413: error('An event or the body is too long.'),
    415: error('The content type is missing or that of a form.'),
  },
}

const feed = {
  summary: 'The changes feed; with keys, these; with from or to, by the time at which events happened',
  parameters: [
    name,
    query('lc', 'Last change seen: "next" or "cursor" of an earlier answer.', { type: 'string', default: '0' }),
    limit,
    query('wait', 'Wait so many seconds for something new.', { type: 'integer', minimum: 0, maximum: 60 }),
    query('keys', 'Keys, parted by commas.', { type: 'string' }),
    query('from', 'Not before this time.', millisOrText),
    query('to', 'Before this time.', millisOrText),
    query('afterKey', 'Continue a range after this key.', ref('Key')),
    query('reverse', 'The newest first.', { enum: ['true', 'false'] }),
    { name: 'last-event-id', in: 'header', description: 'Where a stream is resumed.', schema: { type: 'string' } },
  ],
  responses: {
    ...common,
    ...notModified,
    200: {
      description: 'Events.',
      content: {
        ...content({ anyOf: [ref('Page'), ref('Bulk'), ref('Range')] }),
        ...content({ type: 'string', description: 'One event a line.' }, ndjson),
        ...content({ type: 'string', description: 'One event a message, its id a position.' }, eventStream),
      },
    },
    406: error('None of the types asked for is to be had.'),
    409: error('The position is one of another store or incarnation, or not reached yet.'),
  },
}

const oneEvent = {
  get: {
    summary: 'The value of one event, as it was appended',
    parameters: [name, path('key', 'ULID of the event.')],
    responses: {
      ...common,
      ...notModified,
      200: { description: 'The value, with its content type.', content: content({ format: 'binary' }, '*/*') },
      404: error('There is no such database or event.'),
      410: error('The value was erased.'),
    },
  },
}

const erased = {
  summary: 'Erase values, here and wherever the store syncs',
  parameters: [name, { ...query('keys', 'Keys, parted by commas.', { type: 'string' }), required: true }],
  responses: { ...common, 204: { description: 'Erased.' } },
}

export const openApi = {
  openapi: '3.1.0',
  info: {
    title: 'LatticeDB event databases',
    version,
    description: 'Stores of events that sync with any other, offline, with no loss.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  paths: {
    '/openapi.json': {
      get: { summary: 'This document', security: [], responses: { 200: answer('OpenAPI 3.1.', { type: 'object' }) } },
    },
    '/db': {
      get: {
        summary: 'The databases',
        responses: {
          ...refused,
          ...notModified,
          200: answer('Their names.', ref('Databases')),
          400: error('A parameter is wrong.'),
        },
      },
    },
    '/db/{name}': {
      get: {
        summary: 'What a database is',
        parameters: [name],
        responses: { ...common, ...notModified, 200: answer('It.', ref('Database')) },
      },
      put: {
        summary: 'Make a database, or change the settings of one that is there',
        parameters: [name],
        ...settings,
        responses: { ...made, 200: answer('It was there.', ref('Database')) },
      },
      post: { summary: 'Make a database', parameters: [name], ...settings, responses: made },
    },
    '/db/{name}/e': { get: feed, post: appended, delete: erased },
    '/db/{name}/e/{key}': oneEvent,
    '/db/{name}/conflicts': {
      get: {
        summary: 'Keys that came with two values',
        parameters: [name, limit, query('afterKey', 'Continue after this key.', ref('Key'))],
        responses: { ...common, ...notModified, 200: answer('Both values of each.', ref('Conflicts')) },
      },
    },
  },
  components: { schemas, securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
  security: [{ bearer: [] }, {}],
}
