export * from './checksum.ts'
export * from './transport.ts'
