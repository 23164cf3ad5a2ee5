export * from './assert.ts'
export * from './error.ts'
export * from './step.ts'
export * from './timestamp.ts'
