export * from './byte-writer.ts'
export * from './row.ts'
export * from './safe-integer.ts'
export * from './write-set.ts'
