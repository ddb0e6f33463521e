// The messages of `/kith/pair/1`, in the order they go: the joiner speaks first. Each is checked before it is believed; the whole
// talk is bounded in time and size. See pairing.ts (who shows the code) and joining.ts (who typed it).
import type { Stream } from '@libp2p/interface'
import { z } from 'zod'
import { KithError } from '../core/errors.ts'
import type { Waiting } from '../core/ports.ts'
import { encodeFrame, FrameReader } from './frame.ts'
import { Meter, SafeStream } from './safe-stream.ts'
import { deviceNameSchema, deviceSchema } from './statements.ts'

export const PAIR_PROTOCOL = '/kith/pair/1'
/** The whole exchange, with two memory-hard steps on slow machines. */
export const PAIRING_EXCHANGE_MS = 30_000

const about = z.object({
  name: deviceNameSchema,
  addresses: z.array(z.string().max(128)).max(16),
  /** Members other than itself. */
  members: z.array(deviceSchema).max(256),
})

const refusals = ['wrong-code', 'tries', 'busy', 'groups', 'removed', 'unknown'] as const
export type Refusal = (typeof refusals)[number]

const messages = {
  /** Joiner: which secret it has. Blob: its nonce. */
  join: z.object({ protocol: z.number().int(), secret: z.enum(['code', 'ticket']) }),
  /** Offerer. Blob: its nonce. */
  challenge: z.object({}),
  /** Both, the joiner first. Blob: the proof. */
  proof: z.object({}),
  /** Joiner, once both have proved that they know the code. */
  about,
  /** Offerer. Blob: the statement to sign. */
  offer: about,
  /** Joiner. Blobs: its signature, its statements. */
  signed: z.object({}),
  /** Offerer, after it stored. Blobs: the statement with both signatures, its other statements. */
  done: z.object({}),
  /** Joiner, after it stored. */
  stored: z.object({}),
  /** Joiner, instead of `join`: the talk broke off after it had signed; what became of it? */
  resume: z.object({}),
  /** Either: no, and why. */
  refused: z.object({ why: z.enum(refusals) }),
}

type Messages = typeof messages
export type PairMessageType = keyof Messages

export type PairMessage = {
  [T in PairMessageType]: {
    readonly type: T
    readonly fields: z.infer<Messages[T]>
    readonly blobs: readonly Uint8Array[]
  }
}[PairMessageType]

export class PairStream {
  readonly #stream: SafeStream
  readonly #frames: FrameReader

  /** Attaches at once. */
  constructor(stream: Stream) {
    this.#stream = new SafeStream(stream, new Meter())
    this.#frames = new FrameReader(this.#stream)
  }

  async send<T extends PairMessageType>(
    type: T,
    fields: z.infer<Messages[T]>,
    blobs: readonly Uint8Array[],
    options: Waiting,
  ): Promise<void> {
    await this.#stream.write(await encodeFrame({ type, fields, blobs }, { compress: true }), options)
  }

  /** The next message, of one of these types. A `refused` becomes a Refused error where it is not asked for. */
  async receive<T extends PairMessageType>(
    types: readonly T[],
    options: Waiting,
  ): Promise<Extract<PairMessage, { type: T }>> {
    const frame = await this.#frames.next(options)
    if (frame === null) throw new KithError('peer-gone', 'The other device ended the connection.')
    const message = parse(frame.type, frame.fields, frame.blobs)
    if (message.type === 'refused' && !types.some(type => type === 'refused')) throw new Refused(message.fields.why)
    const expected = (one: PairMessage): one is Extract<PairMessage, { type: T }> =>
      types.some(type => type === one.type)
    if (!expected(message))
      throw new KithError('peer-protocol', 'The other device does not keep to the pairing protocol.')
    return message
  }

  async close(options: Waiting): Promise<void> {
    await this.#stream.close(options)
  }

  abort(error: Error): void {
    this.#stream.abort(error)
  }
}

/** The other side said no. */
export class Refused extends Error {
  readonly why: Refusal

  constructor(why: Refusal) {
    super(`refused: ${why}`)
    this.name = 'Refused'
    this.why = why
  }
}

export function blobAt(blobs: readonly Uint8Array[], index: number, bytes?: number): Uint8Array {
  const blob = blobs[index]
  if (blob === undefined || (bytes !== undefined && blob.length !== bytes)) {
    throw new KithError('peer-protocol', 'The other device does not keep to the pairing protocol.')
  }
  return blob
}

function parse(type: string, fields: unknown, blobs: readonly Uint8Array[]): PairMessage {
  const known = Object.keys(messages).find(name => name === type) as PairMessageType | undefined
  const parsed = known === undefined ? undefined : messages[known].safeParse(fields)
  if (known === undefined || parsed?.success !== true) {
    throw new KithError('peer-protocol', 'The other device does not keep to the pairing protocol.')
  }
  return { type: known, fields: parsed.data, blobs } as PairMessage
}
