// Errors between threads: structured clone drops the `code` of an error, so tasks answer with the error's parts and the main thread
// makes of them what people and the engine understand.
import { isKithError, KithError, systemCode } from '../core/errors.ts'
import { Movable, moved } from './transfer.ts'

export type Envelope<T> = { readonly ok: T } | { readonly failed: { readonly code: string; readonly message: string } }

export async function enveloped<T>(work: () => T | Movable<T> | Promise<T | Movable<T>>): Promise<Envelope<T>> {
  try {
    const result = await work()
    return result instanceof Movable ? moved({ ok: result.value }, result.buffers) : { ok: result }
  } catch (error) {
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { failed: { code: (isKithError(error) ? error.code : systemCode(error)) ?? '', message } }
  }
}

export function opened<T>(envelope: Envelope<T>): T {
  if ('ok' in envelope) return envelope.ok
  const { code, message } = envelope.failed
  const cause = Object.assign(new Error(message), { code })
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      throw new KithError('no-space', 'The disk of this folder is full: free some space, and Kith goes on by itself.', {
        cause,
      })
    case 'ROOT_GONE':
      throw new KithError('root-missing', 'The root of this folder is not there: mount or restore it.', { cause })
    case 'EROFS':
      throw new KithError(
        'permission-denied',
        'The disk of this folder is read-only: make it writable again, and Kith goes on by itself.',
        { cause },
      )
    case 'EACCES':
    case 'EPERM':
      throw new KithError('permission-denied', `Kith may not write in this folder (${code}): check its permissions.`, {
        cause,
      })
    default:
      throw new KithError('store-failed', `The disk of this folder refused to work (${code || message}).`, { cause })
  }
}
