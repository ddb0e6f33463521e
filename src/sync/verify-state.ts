// How far verification is and what it found, kept in the folder's note. What cannot be read any more begins anew.
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { isContentId } from '../core/content-list.ts'
import { type ContentId, fromHex, hexOf, ROOT_ROW, type RowId } from '../core/ids.ts'
import type { FolderStore } from '../core/ports.ts'
import type { Damage, KnownDamage } from './damage.ts'

export interface Drill {
  /** ms since 1970 */
  readonly time: number
  readonly checked: number
  readonly damaged: number
}

export interface LostVersion {
  readonly content: ContentId
  readonly size: number
}

interface VerifyNote {
  /** The last item that was verified in this round: files by row, then versions by content. */
  readonly at: { readonly row: RowId } | { readonly version: ContentId | null }
  readonly drill: Drill
  readonly damage: readonly KnownDamage[]
  /** Kept versions that were damaged and that nobody had. */
  readonly lost: readonly LostVersion[]
}

const content = z.string().transform((hex, context): ContentId => {
  const id = fromHex(hex)
  if (id !== undefined && isContentId(id)) return id
  context.addIssue('no content id')
  return z.NEVER
})
const row = z
  .number()
  .int()
  .nonnegative()
  .transform(id => id as RowId)
const schema = z.object({
  at: z.union([z.object({ row }), z.object({ version: content.nullable() })]),
  drill: z.object({ time: z.number(), checked: z.number(), damaged: z.number() }),
  damage: z.array(z.object({ row, content, found: content.nullable() })),
  lost: z.array(z.object({ content, size: z.number() })),
})

function encodeNote(note: VerifyNote): Uint8Array {
  const hex = (id: ContentId | null): string | null => (id === null ? null : hexOf(id))
  return Buffer.from(
    JSON.stringify({
      at: 'row' in note.at ? note.at : { version: hex(note.at.version) },
      drill: note.drill,
      damage: note.damage.map(one => ({ row: one.row, content: hex(one.content), found: hex(one.found) })),
      lost: note.lost.map(one => ({ content: hex(one.content), size: one.size })),
    }),
  )
}

function decodeNote(bytes: Uint8Array): VerifyNote | null {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString()))
  } catch {
    return null
  }
}

export interface VerifyStateDeps {
  readonly store: Pick<FolderStore, 'note' | 'commit'>
  readonly clock: Pick<Clock, 'now'>
  readonly damage: Damage
}

export class VerifyState {
  readonly #deps: VerifyStateDeps
  #note: VerifyNote
  #loading: Promise<void> | null = null

  constructor(deps: VerifyStateDeps) {
    this.#deps = deps
    // The first drill is a month from now, when there is something to rehearse.
    const drill = { time: deps.clock.now(), checked: 0, damaged: 0 }
    this.#note = { at: { row: ROOT_ROW }, drill, damage: [], lost: [] }
  }

  get note(): VerifyNote {
    return this.#note
  }

  /** Once; known damage counts from then on. */
  load(): Promise<void> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** In memory, until the next `save`. */
  set(change: Partial<VerifyNote>): void {
    this.#note = { ...this.#note, ...change }
  }

  async save(change: Partial<VerifyNote>): Promise<void> {
    this.#note = { ...this.#note, ...change, damage: this.#deps.damage.all() }
    await this.#deps.store.commit({ notes: [{ name: 'verify', bytes: encodeNote(this.#note) }] })
  }

  async #load(): Promise<void> {
    const stored = await this.#deps.store.note('verify')
    this.#note = (stored === undefined ? null : decodeNote(stored)) ?? this.#note
    this.#deps.damage.load(this.#note.damage)
  }
}
