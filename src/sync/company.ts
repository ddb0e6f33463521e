// Whom a folder that rejoins waits for: the paired devices that may know what this one forgot. Where there is none any more, because those
// that had the folder were removed, it goes on alone. Not where somebody wrote here of whom the database knows nothing: the home may be from
// before that device was paired, and then so is what it says of who is paired.
import { printable } from '../core/display.ts'
import type { DeviceId } from '../core/ids.ts'

export interface PairedDevice {
  readonly id: DeviceId
  readonly name: string
  /** It was last known to have the folder, or it was never linked. */
  readonly mayHold: boolean
}

export interface Company {
  readonly paired: readonly PairedDevice[]
  /** Other devices that the database has heard of in this folder. */
  readonly known: ReadonlySet<DeviceId>
  /** Other devices that the copy of the journal has heard of. */
  readonly writers: ReadonlySet<DeviceId>
}

export function isAlone(company: Company): boolean {
  return awaited(company).length === 0 && [...company.writers].every(id => company.known.has(id))
}

/** One sentence or two: for whom it waits, and what a person can do. */
export function whomToWaitFor(company: Company): string {
  const names = awaited(company).map(({ name }) => `"${printable(name)}"`)
  if (names.length === 0) return 'waits for one of them, to be sure. Pair one that has this folder.'
  const last = names.at(-1)
  const all = names.length === 1 ? last : `${names.slice(0, -1).join(', ')} or ${last}`
  return `waits for ${all}, to be sure. Switch one on; "kith device remove NAME" where it is gone for good.`
}

function awaited({ paired, known, writers }: Company): readonly PairedDevice[] {
  return paired.filter(({ id, mayHold }) => mayHold || known.has(id) || writers.has(id))
}
