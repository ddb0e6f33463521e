// `kith pair`: shows a code and waits for the device that uses it, or joins with a code shown elsewhere. Each side shows the other's name
// and the end of its id, so that a person can compare them.
import { setTimeout as sleep } from 'node:timers/promises'
import { KithError } from '../../core/errors.ts'
import type { FoldersBody, PairedBody, PairingOfferBody } from '../../daemon/api/schema.ts'
import { failure } from '../client.ts'
import type { Context } from '../context.ts'
import { offerHints, twinHints } from '../hints.ts'
import { name, shortId } from '../output.ts'

const HINT_TRIES = 8
const HINT_PAUSE_MS = 150

interface PairOptions {
  readonly addr?: string
  readonly timeout?: number
}

export async function pair(
  context: Context,
  [code]: readonly (string | undefined)[],
  options: PairOptions,
): Promise<void> {
  const { out } = context
  const timeout = new AbortController()
  const after = options.timeout
  const late = (): void =>
    timeout.abort(new KithError('wait-timeout', `No device was paired within ${after ?? 0} s: try again.`))
  const timer = after === undefined ? undefined : setTimeout(late, after * 1000)
  try {
    if (code === undefined && options.addr !== undefined) {
      throw new KithError('bad-usage', '--addr goes with a code: type "kith pair CODE --addr MULTIADDR".')
    }
    const result =
      code === undefined
        ? await offer(context, timeout.signal)
        : await join(context, code, options.addr, timeout.signal)
    if (out.json) out.documentLine(result)
    else {
      out.text(`Paired with ${out.paint.bold(name(result.paired.name))} (${shortId(result.paired.id)}).`)
      await hint(context)
    }
  } finally {
    clearTimeout(timer)
  }
}

async function offer({ client, out }: Context, signal: AbortSignal): Promise<PairedBody> {
  for await (const line of client.lines('POST', '/pairing/offer', { signal })) {
    const message = JSON.parse(line) as PairingOfferBody | PairedBody | { error: unknown }
    if ('error' in message) throw failure(line)
    if ('paired' in message) return message
    if (out.json) out.documentLine(message)
    else {
      const { default: encodeQR } = await import('qr')
      const { bold, dim } = out.paint
      const minutes = Math.round((Date.parse(message.expiresAt) - Date.now()) / 60_000)
      out.text(encodeQR(message.ticket, 'ascii', { ecc: 'low', border: 2 }).trimEnd())
      out.text()
      out.text(`On the other device, type:  ${bold(`kith pair ${message.code}`)}`)
      out.text(dim(`or, with all that the square holds:  kith pair ${message.ticket}`))
      out.text(`The code is good for ${minutes} minutes and for one device. Ctrl-C takes it back.`)
    }
  }
  throw new KithError('stopped', 'The daemon ended before a device was paired.')
}

function join(
  { client, out }: Context,
  code: string,
  address: string | undefined,
  signal: AbortSignal,
): Promise<PairedBody> {
  out.progress('Looking for the device that shows this code …')
  const body = { code, ...(address === undefined ? {} : { address }) }
  return client.post<PairedBody>('/pairing/join', body, { signal }).finally(() => out.endProgress())
}

/** The new device says a moment after the pairing which folders it has. */
async function hint({ client, out, place }: Context): Promise<void> {
  for (let attempt = 0; attempt < HINT_TRIES; attempt++) {
    const { offers } = await client.get<FoldersBody>('/folders')
    const lines = [...twinHints(offers, place.command), ...offerHints(offers, place.command)]
    for (const line of lines) out.text(line)
    if (lines.length > 0) return
    await sleep(HINT_PAUSE_MS)
  }
}
