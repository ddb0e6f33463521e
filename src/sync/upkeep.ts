// What a folder does for its past in quiet moments: versions of everything where that is set, packing, verification. In small pieces, each
// ended at once by its signal, with long rests between; it begins only after a while of rest.
import type { Clock } from '../core/clock.ts'
import type { ContentId } from '../core/ids.ts'
import type { Waiting } from '../core/ports.ts'
import type { Acceptance, VerifyOutcome } from '../core/status.ts'
import { Damage } from './damage.ts'
import { KeepAll, type KeepAllDeps } from './keep-all.ts'
import { Packer } from './pack.ts'
import { Verifier, type VerifierDeps } from './verify.ts'

const FIRST_MS = 10 * 60_000
const PACK_EVERY_MS = 10 * 60_000
/** Between two looks at what is damaged; twice as long after each that was interrupted, and as long as the other after one that failed. */
const MEND_REST_MS = 10_000
const MEND_MOST_REST_MS = PACK_EVERY_MS

export type UpkeepDeps = Omit<VerifierDeps, 'damage'> & Pick<KeepAllDeps, 'isOn'>

export class Upkeep {
  readonly damage = new Damage()
  readonly keepAll: KeepAll
  readonly #clock: Clock
  readonly #verifier: Verifier
  readonly #packer: Packer
  #packAt: number
  #verifyAt: number
  #mendAt = Number.POSITIVE_INFINITY
  /** No sooner, whatever happens meanwhile: what is damaged may be large, and a link may come and go. */
  #mendFrom = 0
  #mendRestMs = MEND_REST_MS
  #mending = false

  constructor(deps: UpkeepDeps) {
    this.#clock = deps.clock
    this.keepAll = new KeepAll({ ...deps, damage: this.damage, onMissed: () => this.keepSoon() })
    this.#packer = new Packer(deps)
    this.#verifier = new Verifier({ ...deps, damage: this.damage })
    this.#packAt = this.#clock.elapsed() + FIRST_MS
    this.#verifyAt = this.#packAt
  }

  /** Known damage counts from the start. */
  async load(): Promise<void> {
    await this.#verifier.load()
    if (this.#verifier.hasDamage) this.#mendSoon()
  }

  verify(options: Waiting & { onProgress(checked: number, bytes: number): void }): Promise<VerifyOutcome> {
    return this.#verifier.run(options)
  }

  accept(path: string, options: Waiting): Promise<Acceptance> {
    return this.#verifier.accept(path, options)
  }

  /** Kept versions that were damaged and that nobody had yet. */
  get lost(): Verifier['lost'] {
    return this.#verifier.lost
  }

  forgetLost(contents: readonly ContentId[]): Promise<void> {
    return this.#verifier.forgetLost(contents)
  }

  /** A row's bytes are not what they should be: looked at in the next quiet moment. */
  suspect(row: Parameters<Verifier['suspect']>[0]): void {
    this.#verifier.suspect(row)
    this.#mendSoon()
  }

  /** A device was linked: it may have what could not be mended. True: the next quiet moment is to see. */
  linked(): boolean {
    this.#verifier.linked()
    if (!this.#verifier.hasDamage) return false
    this.#mendSoon()
    // What is brought just now asks the new one too: it is not to be interrupted for that.
    return !this.#mending
  }

  #mendSoon(): void {
    this.#mendAt = Math.max(this.#clock.elapsed(), this.#mendFrom)
  }

  /** Not all versions may be kept that are to be: that is the next thing to do. */
  keepSoon(): void {
    this.#packAt = this.#clock.elapsed()
  }

  /** ms until there is something to do: `idle` then does one piece of it. */
  nextMs(): number {
    return Math.max(0, Math.min(this.#packAt, this.#verifyAt, this.#mendAt) - this.#clock.elapsed())
  }

  /** One piece of what is due. Called between two cycles; its signal ends it without an error. */
  async idle({ signal }: Waiting): Promise<void> {
    const now = this.#clock.elapsed()
    if (now >= this.#mendAt) {
      await this.#mend({ signal })
      return
    }
    try {
      if (now >= this.#packAt) {
        const more = await this.keepAll.catchUp({ signal })
        if (!more) {
          await this.#packer.run({ signal })
          this.#packAt = this.#clock.elapsed() + PACK_EVERY_MS
        }
      } else if (now >= this.#verifyAt) {
        this.#verifyAt = this.#clock.elapsed() + (await this.#verifier.idle({ signal }))
      }
    } catch (error) {
      if (signal.aborted) return
      // Whatever it was, it is not tried again at once.
      this.#packAt = this.#clock.elapsed() + PACK_EVERY_MS
      this.#verifyAt = this.#packAt
      throw error
    }
  }

  async #mend({ signal }: Waiting): Promise<void> {
    this.#mendAt = Number.POSITIVE_INFINITY
    this.#mending = true
    let isThrough = false
    try {
      isThrough = await this.#verifier.mend({ signal })
      this.#mendRestMs = isThrough ? MEND_REST_MS : Math.min(2 * this.#mendRestMs, MEND_MOST_REST_MS)
    } catch (error) {
      this.#mendRestMs = MEND_MOST_REST_MS
      throw error
    } finally {
      this.#mending = false
      this.#mendFrom = this.#clock.elapsed() + this.#mendRestMs
      if (!isThrough || this.#mendAt < Number.POSITIVE_INFINITY) this.#mendSoon()
    }
  }
}
