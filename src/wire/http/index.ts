export { type AccessToken, checkToken, type Scope } from './access.ts'
export * from './event-databases.ts'
export { type EventPort, eventPort } from './event-port.ts'
