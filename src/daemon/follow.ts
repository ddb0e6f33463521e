// After a restore or an undo: waits until this device's disk shows what the shared tree does, so that what a person asked for is there when
// the command ends. The change is safe already; where its content is long in coming it goes on without us.

import type { Waiting } from '../core/ports.ts'
import type { FolderEngine } from '../core/status.ts'
import { timeoutSignal } from '../core/timeout.ts'

/** Nothing moved for so long: whoever has the rest is slow, or went away. */
const QUIET_MS = 20_000

/** What the disk does not show yet. */
export interface Pending {
  /** Whose content is to come from other devices. */
  readonly files: number
  /** The folder stands still: `paused`, or the code of its halt. */
  readonly stopped: string | null
}

/** Null: the disk shows all of it. */
export async function followDisk(engine: FolderEngine, options: Waiting, quietMs = QUIET_MS): Promise<Pending | null> {
  for (;;) {
    const { settled, stopped, needFiles } = engine.state()
    if (stopped !== null) return { files: needFiles, stopped }
    if (settled && needFiles === 0) return null
    const quiet = timeoutSignal(quietMs)
    try {
      await engine.changed({ signal: AbortSignal.any([options.signal, quiet]) })
    } catch (error) {
      options.signal.throwIfAborted()
      if (quiet.aborted) return { files: needFiles, stopped }
      throw error
    }
  }
}
