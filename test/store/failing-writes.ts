// Makes LevelDB's next synced batch (but `skip`) fail: before it wrote anything, or after it wrote everything and said it had not.
import { Level } from 'level'

interface Batch {
  write(options?: { sync?: boolean }): Promise<void>
}

export function failNextWrite(how: 'before' | 'after', message = 'IO error: as asked', skip = 0): void {
  const prototype = Level.prototype as unknown as { batch: (...given: unknown[]) => Batch }
  const original = prototype.batch
  let left = skip + 1
  prototype.batch = function (...given) {
    const batch = original.apply(this, given)
    const write = batch.write.bind(batch)
    batch.write = async options => {
      if (options?.sync !== true || --left !== 0) return write(options)
      prototype.batch = original
      if (how === 'after') await write(options)
      else await (batch as unknown as { close(): Promise<void> }).close()
      throw Object.assign(new Error(message), { code: 'LEVEL_IO_ERROR' })
    }
    return batch
  }
}
