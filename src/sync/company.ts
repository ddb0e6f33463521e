// Whom a folder that rejoins waits for: the paired devices, for any of them may know what this one forgot. Where none is paired any more it
// goes on alone. Not where somebody wrote here of whom the database knows nothing: the home may be from before that device was paired, and
// then so is what it says of who is paired. What a paired device offers says nothing: a folder that could not start there is not in it.
import { printable } from '../core/display.ts'
import type { DeviceId } from '../core/ids.ts'

export interface PairedDevice {
  readonly id: DeviceId
  readonly name: string
}

export interface Company {
  readonly paired: readonly PairedDevice[]
  /** Other devices that the database has heard of in this folder. */
  readonly known: ReadonlySet<DeviceId>
  /** Other devices that the copy of the journal has heard of. */
  readonly writers: ReadonlySet<DeviceId>
}

export function isAlone({ paired, known, writers }: Company): boolean {
  return paired.length === 0 && [...writers].every(id => known.has(id))
}

/** A few sentences: for whom the folder waits, and what a person can do. */
export function whomToWaitFor(folder: string, { paired }: Company): string {
  const anew = `"kith folder remove ${folder}" and "kith add" begin it anew with what lies here.`
  const names = paired.map(({ name }) => `"${printable(name)}"`)
  if (names.length === 0)
    return `waits for one of them, to be sure. Pair one that has this folder; where there is none any more, ${anew}`
  const last = names.at(-1)
  const all = names.length === 1 ? last : `${names.slice(0, -1).join(', ')} or ${last}`
  const gone = '"kith device remove NAME" where it is gone for good'
  return `waits for ${all}, to be sure. Switch one on; ${gone}. Where none of these has the folder, ${anew}`
}
