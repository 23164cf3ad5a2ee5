export * from './certificates.ts'
export * from './channel-binding.ts'
export * from './scram.ts'
