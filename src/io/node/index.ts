export { dateOfMillis } from './date.ts'
export { fatalStatus, type NodeIo, type NodeIoOptions, nodeIo } from './node-io.ts'
export { type LogLevel, nodeLog } from './node-log.ts'
export { afterTurn, turn } from './turn.ts'
