/** How much one message of a sync carries, so that memory and the time between answers stay small. */
export const idsPerPage = 1_000
export const bytesPerMessage = 256 * 1024
/** Keys that one message asks for. */
export const wantsPerMessage = 1_000
