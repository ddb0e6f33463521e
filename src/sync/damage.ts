// Files whose bytes are not what their rows say though nobody touched them: rot that no other device could mend yet. Known damage is not
// served, and a new time on such a file does not make its rot an edit that spreads: its row keeps the sound content until somebody has it
// again, or until a person writes other bytes. It is remembered in the folder's note of verification.
import type { ContentId, RowId } from '../core/ids.ts'
import type { Problem } from '../core/ports.ts'
import type { Row, RowTable } from '../core/rows.ts'

/** More are found again by the next verification. */
export const MOST_DAMAGE = 10_000

const ROTTEN =
  'Its bytes have changed though nobody wrote to it: the disk may be failing. It is mended as soon as a device that has it is linked; "kith explain" says what else can be done.'
const UNREADABLE = 'It could not be read when it was verified: check its permissions, and whether the disk is failing.'

export interface KnownDamage {
  readonly row: RowId
  /** What it should be. */
  readonly content: ContentId
  /** What it is; null where it cannot be read. */
  readonly found: ContentId | null
}

export class Damage {
  readonly #known = new Map<RowId, KnownDamage>()

  load(known: readonly KnownDamage[]): void {
    this.#known.clear()
    for (const one of known) this.#known.set(one.row, one)
  }

  all(): readonly KnownDamage[] {
    return [...this.#known.values()]
  }

  note(damage: KnownDamage): void {
    if (this.#known.has(damage.row) || this.#known.size < MOST_DAMAGE) this.#known.set(damage.row, damage)
  }

  /** It was read. */
  read(row: Row, found: ContentId): void {
    if (found === row.content) this.forget(row.id)
    else this.note({ row: row.id, content: row.content, found })
  }

  forget(row: RowId): boolean {
    return this.#known.delete(row)
  }

  /** Is what lies there known not to be this row's content? */
  has(row: Row): boolean {
    return this.#known.get(row.id)?.content === row.content
  }

  /** What lies there could not be read: it may be anything. */
  isUnread(row: Row): boolean {
    return this.has(row) && this.#known.get(row.id)?.found === null
  }

  /** Are these bytes the row's own, rotten? Then nobody wrote them. */
  isRot(row: Row, found: ContentId): boolean {
    const known = this.#known.get(row.id)
    return known !== undefined && known.content === row.content && known.found === found
  }

  /** What lies there, as far as it is known. */
  contentIn(row: Row): ContentId {
    return (this.has(row) ? this.#known.get(row.id)?.found : null) ?? row.content
  }

  problems(rows: RowTable): Problem[] {
    const problems: Problem[] = []
    for (const { row: id, found } of this.#known.values()) {
      const row = rows.get(id)
      const path = row && this.has(row) ? rows.path(id) : undefined
      if (path === undefined) continue
      problems.push({
        code: found === null ? 'unreadable' : 'damaged',
        path,
        message: found === null ? UNREADABLE : ROTTEN,
      })
    }
    return problems
  }
}
