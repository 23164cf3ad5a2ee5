export * from './partitions/index.ts'
export * from './replica.ts'
export * from './solo.ts'
export * from './state-machine.ts'
