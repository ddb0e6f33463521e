// How often in a row the database was opened by a daemon that did not close it: killed, cut off from power, or ended by LevelDB itself,
// which meets some damage with an assertion. Kept beside the database. A start that was refused counts too: then one check is made too many.
import { readFile, rm } from 'node:fs/promises'
import { z } from 'zod'
import { writeAtomic } from './atomic-file.ts'

const openingsSchema = z.object({ unclosed: z.int().nonnegative() })

export class Openings {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** How many were not closed; one that cannot be read is none. */
  async unclosed(): Promise<number> {
    try {
      return openingsSchema.parse(JSON.parse(await readFile(this.#path, 'utf8'))).unclosed
    } catch {
      return 0
    }
  }

  /** Right before the database is opened, after `unclosed` that were not closed. */
  begin(unclosed: number): Promise<void> {
    return writeAtomic(this.#path, `${JSON.stringify({ unclosed: unclosed + 1 })}\n`)
  }

  /** Right after it was closed. */
  end(): Promise<void> {
    return rm(this.#path, { force: true })
  }
}
