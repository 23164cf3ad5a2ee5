export * from './byte-writer.ts'
export * from './write-set.ts'
export * from './row.ts'
