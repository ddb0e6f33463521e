// One record per folder that every commit writes: counters, and sums over what must not get lost. A commit that fell out of the middle
// of LevelDB's log (which skips what it cannot read, and says nothing) makes the next one's sums wrong.
import { z } from 'zod'
import type { ActorId, RowId } from '../core/ids.ts'
import type { FolderMeta } from '../core/ports.ts'
import type { BasesEnd } from './bases.ts'
import { damaged, Reader, Writer } from './codec.ts'
import type { JournalEnd } from './journal.ts'

const SEAL_FORMAT = 1

export interface FolderSeal {
  /** Commits so far: makes every seal's bytes differ from the one before. */
  readonly commits: number
  readonly rowCount: number
  readonly rowSum: number
  readonly headSum: number
  readonly metaSum: number
  /** The greatest row id ever stored: ids are never used again. */
  readonly lastRow: RowId
  readonly journal: JournalEnd
  readonly bases: BasesEnd
}

export const FIRST_SEAL: FolderSeal = {
  commits: 0,
  rowCount: 0,
  rowSum: 0,
  headSum: 0,
  metaSum: 0,
  lastRow: 0 as RowId,
  journal: { next: 0, latest: Number.MIN_SAFE_INTEGER },
  bases: { bytes: 0, next: 0 },
}

export function encodeSeal(seal: FolderSeal): Buffer {
  const out = new Writer(128)
  out.byte(SEAL_FORMAT)
  out.number(seal.commits)
  out.number(seal.rowCount)
  out.number(seal.rowSum)
  out.number(seal.headSum)
  out.number(seal.metaSum)
  out.number(seal.lastRow)
  out.number(seal.journal.next)
  out.number(seal.journal.latest)
  out.number(seal.bases.bytes)
  out.number(seal.bases.next)
  return out.take()
}

export function decodeSeal(payload: Buffer): FolderSeal {
  const input = new Reader(payload, () => 'folder seal')
  if (input.byte() !== SEAL_FORMAT) input.fail('its format is unknown')
  const seal: FolderSeal = {
    commits: input.count(),
    rowCount: input.count(),
    rowSum: input.count(),
    headSum: input.count(),
    metaSum: input.count(),
    lastRow: input.count() as RowId,
    journal: { next: input.count(), latest: input.number() },
    bases: { bytes: input.count(), next: input.count() },
  }
  input.end()
  return seal
}

const metaSchema = z.object({
  actor: z.int().positive(),
  seqCeiling: z.int().nonnegative(),
  pulling: z.boolean(),
  /** Absent up to schema 1, which also had fields that are left out here. */
  rejoining: z.boolean().optional(),
  /** Absent in what an older version stored. */
  rejoinSince: z.number().nullable().optional(),
})

export function encodeMeta(meta: FolderMeta): Buffer {
  return Buffer.from(JSON.stringify(metaSchema.parse(meta)))
}

export function decodeMeta(payload: Buffer): FolderMeta {
  try {
    const meta = metaSchema.parse(JSON.parse(payload.toString()))
    return {
      ...meta,
      actor: meta.actor as ActorId,
      rejoining: meta.rejoining ?? meta.pulling,
      rejoinSince: meta.rejoinSince ?? null,
    }
  } catch (error) {
    throw damaged('folder meta', 'it does not decode', error)
  }
}
