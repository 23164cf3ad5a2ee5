/** The release, as package.json says it. */
export const version = '0.0.1'
