export * from './pg/index.ts'
