/** The package's entry: `import { open } from 'latticedb'`. */
export * from './client.ts'
export { parseConnectionString } from './connection-string.ts'
export { open } from './open.ts'
export type { OpenOptions } from './open-remote.ts'
export { type RawResult, RawSession } from './raw-session.ts'
export { type Fragment, fragment, identifier } from './sql-template.ts'
