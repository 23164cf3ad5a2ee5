export * from './function.ts'
export * from './registry.ts'
