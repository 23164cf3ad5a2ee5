/** The package's entry: `import { open } from 'latticedb'`. */
export * from './client.ts'
export { open } from './open.ts'
export type { OpenOptions } from './open-remote.ts'
export { type Fragment, fragment, identifier } from './sql-template.ts'
