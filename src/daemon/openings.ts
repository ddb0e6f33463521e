// How often in a row the database was opened by a daemon that did not close it: killed, cut off from power, or ended by LevelDB itself,
// which meets some damage with an assertion. Kept beside the database. A start that was refused counts too: then one check is made too many.
// Also that the last daemon found damage and could not build the database anew itself.
import { readFile, rm } from 'node:fs/promises'
import { z } from 'zod'
import { writeAtomic } from './atomic-file.ts'

const openingsSchema = z.object({ unclosed: z.int().nonnegative(), damaged: z.boolean().default(false) })

type Known = z.output<typeof openingsSchema>

/** A close that nobody waits for any more may end beside what is left for the next start: one after the other. */
let turn: Promise<unknown> = Promise.resolve()

function inTurn(task: () => Promise<void>): Promise<void> {
  const done = turn.then(task)
  turn = done.catch(() => undefined)
  return done
}

export class Openings {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** How many were not closed, and whether it is known to be damaged; what cannot be read says neither. */
  async known(): Promise<Known> {
    try {
      return openingsSchema.parse(JSON.parse(await readFile(this.#path, 'utf8')))
    } catch {
      return { unclosed: 0, damaged: false }
    }
  }

  /** Right before the database is opened, after `unclosed` that were not closed. What is not `damaged` any more is forgotten. */
  begin({ unclosed, damaged }: Known): Promise<void> {
    return this.#write({ unclosed: unclosed + 1, damaged })
  }

  /** For the next start, which builds it anew. */
  leaveDamaged(): Promise<void> {
    return inTurn(async () => this.#write({ ...(await this.known()), damaged: true }))
  }

  /** Right after it was closed. That it is damaged stays known. */
  end(): Promise<void> {
    return inTurn(async () => {
      const { damaged } = await this.known()
      if (!damaged) return rm(this.#path, { force: true })
      // On a full disk the count stays as it was: then one check is made too many.
      await this.#write({ unclosed: 0, damaged }).catch(() => undefined)
    })
  }

  #write(known: Known): Promise<void> {
    return writeAtomic(this.#path, `${JSON.stringify(known)}\n`)
  }
}
