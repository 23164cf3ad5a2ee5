/** Meeting other stores over HTTP and WebSocket; all of it runs in browsers. */
export { type LiveOptions, type LivePorts, type LiveStatus, stayInTouch } from './live-sync.ts'
export { type MeetingOptions, meetOnce } from './one-sync.ts'
export { checkPeer } from './peer-address.ts'
