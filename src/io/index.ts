export * from './ports.ts'
export * from './text-file.ts'
