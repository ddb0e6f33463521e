// What a worker returns with buffers that are moved to the main thread, not copied.
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
