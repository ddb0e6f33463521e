// What must be true between the quiet points: a daemon that says it is at rest shows everything that its disk ever showed and nobody
// disposed of. So what is only hidden for now, could not be read, or was on its way while it was looked for never leaves a disk, but for
// moments: a person who moves one file over another on one device is seen doing first one half of it on the others. Where a watcher loses
// or delays what it sees, a move may honestly look like a deletion until the next full look: then nothing is judged.
import type { SimDevice } from '../support/sim-device.ts'

const WORD = /w\d+w/g
const MOMENT_MS = 5_000

export class Staying {
  readonly #isDisposed: (word: string) => boolean
  /** Word → since when this disk does not show it any more, though its daemon is at rest; null: it does. */
  readonly #seen = new Map<SimDevice, Map<string, number | null>>()
  readonly #wordsOf = new WeakMap<Uint8Array, readonly string[]>()

  constructor(isDisposed: (word: string) => boolean) {
    this.#isDisposed = isDisposed
  }

  /** A power cut takes back what the daemon did last: what this disk shows from then on counts anew. */
  watch(device: SimDevice): void {
    const { onPowerCut } = device
    device.onPowerCut = () => {
      onPowerCut()
      this.#seen.delete(device)
    }
  }

  check(device: SimDevice, nowMs: number): void {
    if (device.person.unmounted || !device.started) return
    const { settled, needFiles } = device.engine.state()
    if (!settled || needFiles > 0) return
    const seen = this.#seen.get(device) ?? new Map<string, number | null>()
    this.#seen.set(device, seen)
    const shown = this.#shown(device)
    for (const [word, since] of seen) {
      if (shown.has(word) || this.#isDisposed(word)) continue
      if (since === null) seen.set(word, nowMs)
      else if (nowMs - since > MOMENT_MS) throw new Error(`I2: ${word} vanished from ${device.name}`)
    }
    for (const word of shown) seen.set(word, null)
  }

  #shown(device: SimDevice): Set<string> {
    const shown = new Set<string>()
    for (const { inode } of device.volume.all()) {
      if (inode.kind === 'directory') continue
      let words = this.#wordsOf.get(inode.data)
      if (words === undefined) {
        words = Buffer.from(inode.data).toString('latin1').match(WORD) ?? []
        this.#wordsOf.set(inode.data, words)
      }
      for (const word of words) shown.add(word)
    }
    return shown
  }
}
