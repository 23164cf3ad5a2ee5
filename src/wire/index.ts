export type * from './http/index.ts'
export * from './peer/index.ts'
export * from './pg/index.ts'
