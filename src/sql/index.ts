export type { SqlCluster } from './cluster-port.ts'
export { type DatabaseOptions, openDatabase } from './session/database.ts'
export * from './session-api.ts'
export type { Type, TypeContext, Value } from './types/type.ts'
