/**
 * SCRAM over the protocol's SASL messages:
 *
 *   R sasl [mechanisms]  ►        R saslContinue [server-first]  ►        R saslFinal [server-final]  R ok  ►
 *             ◄  p [mechanism, client-first]           ◄  p [client-final]
 *
 * Not here: the exchange's content (security/scram.ts), who must authenticate (connection.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import type { ScramServer } from '../../security/index.ts'
import { BodyReader } from './body.ts'
import type { FrameReader } from './frames.ts'
import { authentication, backend, frontend } from './protocol.ts'
import { begin, end } from './server-messages.ts'

export class SaslExchange {
  readonly #scram: ScramServer
  #started = false

  constructor(scram: ScramServer) {
    this.#scram = scram
  }

  /** Offers the mechanisms. */
  offer(out: ByteWriter): void {
    const at = begin(out, backend.authentication)
    out.u32(authentication.sasl)
    for (const mechanism of this.#scram.mechanisms) out.cstring(mechanism)
    out.u8(0)
    end(out, at)
  }

  /** Takes a message of the client; true when it has proved itself. Raises what ends the connection. */
  take(frame: FrameReader, out: ByteWriter): boolean {
    if (frame.type !== frontend.password) {
      throw new DbError('protocol_violation', `expected SASL response, got message type ${frame.type}`)
    }
    const body = new BodyReader()
    body.open(frame)
    if (this.#started) {
      const final = this.#scram.final(this.#rest(body))
      respond(out, authentication.saslFinal, final)
      return true
    }
    const mechanism = body.cstring()
    const length = body.i32()
    if (length !== body.left) throw new DbError('protocol_violation', 'invalid message format')
    this.#started = true
    respond(out, authentication.saslContinue, this.#scram.first(mechanism, this.#rest(body)))
    return false
  }

  #rest(body: BodyReader): string {
    return body.buffer.toString('latin1', body.skip(body.left), body.end)
  }
}

function respond(out: ByteWriter, kind: number, data: string): void {
  const at = begin(out, backend.authentication)
  out.u32(kind)
  out.utf8(data)
  end(out, at)
}
