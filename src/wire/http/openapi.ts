/**
 * What the port offers, as an OpenAPI 3.1 document. The tests compare it with the routes and check answers against it.
 *
 * Not here: schemas of what is in answers (openapi-schemas.ts).
 */
import { version } from '../../base/index.ts'
import { syncMessage } from '../sync/peer-address.ts'
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
const limit = query('limit', 'At most so many; of events, no more than 4 MiB of values, or one.', {
  type: 'integer',
  minimum: 1,
  maximum: 10_000,
  default: 1_000,
})
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
    query(
      'keys',
      'At most 1,000 keys, parted by commas. Those that "rest" of the answer names are to be asked for next.',
      {
        type: 'string',
      },
    ),
    query('from', 'Not before this time.', millisOrText),
    query('to', 'Before this time.', millisOrText),
    query('afterKey', 'Continue a range after this key: that of the answer, or follow its link "next".', ref('Key')),
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
        ...content(
          {
            type: 'string',
            description: 'One event a line. Of keys: ask for those behind that of the last line, until no line comes.',
          },
          ndjson,
        ),
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

const view = path('view', 'The view.')
const unknownView = { 404: error('There is no such database or view, or no event concerns the key.') }
const seen = {
  summary: 'What a view answers',
  parameters: [
    name,
    view,
    query('key', 'Of this key.', { type: 'string' }),
    query('at', 'As of this event time, inclusive.', millisOrText),
    query('lc', 'As of this position.', { type: 'string' }),
    query('from', 'Of all keys, from this one on.', { type: 'string' }),
    query('behind', 'Of all keys, continue behind this one.', { type: 'string' }),
    limit,
  ],
  responses: {
    ...common,
    ...notModified,
    ...unknownView,
    200: answer('Of one state or key, its value; else the entries.', { anyOf: [ref('ViewValue'), ref('ViewEntries')] }),
    409: error('The position is not one of this store, or the view stopped and has no answer.'),
    503: error('The view is being built.'),
  },
}
const ownView = {
  get: seen,
  put: {
    summary: 'Add a view, or another version of it',
    parameters: [name, view],
    requestBody: { required: true, content: content(ref('ViewDefinition')) },
    responses: {
      ...common,
      200: answer('It was there.', ref('View')),
      201: answer('It is being built.', ref('View')),
      400: error('The definition is wrong.'),
      409: error('The version is there with another definition.'),
      413: error('The definition is too long.'),
      415: error('The definition is no JSON.'),
    },
  },
  delete: {
    summary: 'Forget a view',
    parameters: [name, view],
    responses: { ...common, ...unknownView, 204: { description: 'Forgotten.' } },
  },
}
const viewChanges = {
  get: {
    summary: 'Which answers of a view changed, and what they are now',
    parameters: [name, view, query('after', 'Number of the last change seen.', { type: 'integer', minimum: 0 }), limit],
    responses: {
      ...common,
      ...notModified,
      ...unknownView,
      200: {
        description: 'Changes.',
        content: {
          ...content(ref('ViewChanges')),
          ...content({ type: 'string', description: 'One change a message, its id its number.' }, eventStream),
        },
      },
      406: error('None of the types asked for is to be had.'),
    },
  },
}

const bytes = { type: 'string', format: 'binary' }
const synced = {
  get: {
    summary: 'The stores that this one has met; upgraded to a WebSocket, the sync protocol',
    parameters: [name],
    responses: { ...common, ...notModified, 200: answer('How far each has what the other has.', ref('Peers')) },
  },
  post: {
    summary: 'Meet another store; or a message of the sync protocol',
    parameters: [name],
    requestBody: { required: true, content: { ...content(ref('Peer')), ...content(bytes, syncMessage) } },
    responses: {
      ...common,
      200: {
        description: 'What was exchanged; or the answer to the message.',
        content: { ...content(ref('SyncReport')), ...content(bytes, syncMessage) },
      },
      202: answer('It stays in touch with that store from now on.', ref('Peer')),
      409: error('One of the two stores was restored, or its clock is wrong.'),
      413: error('The message is too long.'),
      415: error('The body is neither JSON nor a message.'),
      503: error('The other store could not be reached.'),
    },
  },
  delete: {
    summary: 'Stay in touch with another store no longer',
    parameters: [name, { ...query('peer', 'Its address.', { type: 'string' }), required: true }],
    responses: {
      ...common,
      204: { description: 'What is on its way still comes.' },
      404: error('There is no such database, or it was not in touch with that store.'),
    },
  },
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
    '/db/{name}/v': {
      get: {
        summary: 'The views of a database',
        parameters: [name],
        responses: { ...common, ...notModified, 200: answer('How they are.', ref('Views')) },
      },
    },
    '/db/{name}/v/{view}': ownView,
    '/{name}/{view}': { get: seen },
    '/db/{name}/v/{view}/changes': viewChanges,
    '/db/{name}/v/{view}/resume': {
      post: {
        summary: 'Go on after the code of a view threw',
        parameters: [name, view],
        responses: { ...common, ...unknownView, 204: { description: 'It goes on.' } },
      },
    },
    '/db/{name}/sync': synced,
    '/db/{name}/conflicts': {
      get: {
        summary: 'Keys that came with two values; a value that this store refused itself has the sequence 0',
        parameters: [name, limit, query('after', 'Continue after this one, or after this key.', { type: 'string' })],
        responses: { ...common, ...notModified, 200: answer('Both values of each.', ref('Conflicts')) },
      },
    },
  },
  components: { schemas, securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
  security: [{ bearer: [] }, {}],
}
