export * from './certificates.ts'
export * from './channel-binding.ts'
export * from './node-certificate.ts'
export * from './scram.ts'
