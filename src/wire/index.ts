export * from './peer/index.ts'
export * from './pg/index.ts'
