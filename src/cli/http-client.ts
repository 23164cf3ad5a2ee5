/**
 * Asks a node's HTTP port.
 *
 * Not here: what is asked.
 */
import { request } from 'node:http'
import { DbError, isErrorCode } from '../base/index.ts'
import { formatAddress, type ListenAddress } from '../node/index.ts'

const timeoutMs = 15_000

/** Raises connection_failure when nobody answers, and what the node refuses a POST with. */
export function askJson(address: ListenAddress, path: string, body?: object): Promise<Record<string, any>> {
  const options = { host: address.host, port: address.port, path, timeout: timeoutMs }
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(
        new DbError('connection_failure', `no node answers at http://${formatAddress(address)}`, {
          cause,
          hint: 'Start one with: lattice start --data DIR',
        }),
      )
    const method = body === undefined ? 'GET' : 'POST'
    const asked = request({ ...options, method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        try {
          const answer = JSON.parse(Buffer.concat(chunks).toString())
          if (body === undefined || response.statusCode! < 400) resolve(answer)
          else reject(refusal(answer))
        } catch (error) {
          fail(error)
        }
      })
    })
    asked.on('error', fail)
    asked.on('timeout', () => asked.destroy(new Error('timeout')))
    asked.end(body && JSON.stringify(body))
  })
}

function refusal(answer: Record<string, any>): DbError {
  const { code, error, detail, hint } = answer
  return new DbError(isErrorCode(String(code)) ? code : 'internal_error', String(error), { detail, hint })
}
