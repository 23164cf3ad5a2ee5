/** A process that holds a directory until it is killed. Not here: the lock (directory-lock.ts). */
import { nodeIo } from './index.ts'

await nodeIo({ logLevel: 'silent' }).disk.lock(process.argv[2])
process.stdout.write('held\n')
// The lock keeps no process alive; standard input does.
process.stdin.resume()
