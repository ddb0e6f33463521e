// What a worker returns with buffers that are moved to the main thread, not copied; and what is done with them there afterwards.
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { move, transferableSymbol, valueSymbol } from 'piscina'

/** A task's result whose buffers go along; the outermost wrapping makes it piscina's. */
export class Movable<T> {
  readonly value: T
  readonly buffers: readonly ArrayBufferLike[]

  constructor(value: T, buffers: readonly ArrayBufferLike[]) {
    this.value = value
    this.buffers = buffers
  }
}

/** Gives it to piscina: what arrives on the other side is `value`. */
export function moved<T>(value: T, buffers: readonly ArrayBufferLike[]): T {
  const movable = { [transferableSymbol]: [...new Set(buffers)], [valueSymbol]: value }
  return move(movable as unknown as ArrayBuffer) as unknown as T
}

let nowhere: MessagePort | null = null

function openNowhere(): void {
  const { port1, port2 } = new MessageChannel()
  // Until then it would keep what it is given for the other end.
  port1.once('close', () => {
    nowhere = port1
  })
  port1.unref()
  port2.close()
}
openNowhere()

/**
 * Gives the memory of these buffers back at once, by moving them to a port that nobody has the other end of: each is empty afterwards.
 * V8 counts their bytes until it collects them, and answers each 64 MB with a collection of its whole heap.
 */
export function discard(buffers: readonly ArrayBufferLike[]): void {
  nowhere?.postMessage(
    null,
    [...new Set(buffers)].filter(buffer => buffer instanceof ArrayBuffer),
  )
}
