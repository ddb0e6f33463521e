// After a restore or an undo: waits until this device's disk shows what the shared tree does, so that what a person asked for is there when
// the command ends. The change is safe already; where its content is long in coming it goes on without us.
import type { Waiting } from '../core/ports.ts'
import type { FolderEngine } from '../core/status.ts'

/** Nothing moved for so long: whoever has the rest is slow, or went away. */
const QUIET_MS = 20_000

export async function followDisk(engine: FolderEngine, options: Waiting, quietMs = QUIET_MS): Promise<boolean> {
  for (;;) {
    const { settled, stopped, needFiles } = engine.state()
    if (stopped !== null) return false
    if (settled && needFiles === 0) return true
    const quiet = AbortSignal.timeout(quietMs)
    try {
      await engine.changed({ signal: AbortSignal.any([options.signal, quiet]) })
    } catch (error) {
      options.signal.throwIfAborted()
      if (quiet.aborted) return false
      throw error
    }
  }
}
