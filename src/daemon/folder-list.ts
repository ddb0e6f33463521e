// Which folders this home has: a file of its own, so that an erased or damaged database forgets no path. A folder is written here before
// anything is made for it and taken out before anything of it is erased; what was to be erased is remembered until it is.
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { printable } from '../core/display.ts'
import { KithError, systemCode } from '../core/errors.ts'
import type { FolderId } from '../core/ids.ts'
import { DEFAULT_SETTINGS } from '../core/status.ts'
import { writeAtomic } from './atomic-file.ts'

const folderIdSchema = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .transform(id => id as FolderId)

const settingsSchema = z.strictObject({
  versions: z.enum(['standard', 'all']).default(DEFAULT_SETTINGS.versions),
  versionLimit: z.int().min(1).nullable().default(DEFAULT_SETTINGS.versionLimit),
  minCopies: z.int().min(1).max(100).default(DEFAULT_SETTINGS.minCopies),
  maxDeletes: z.int().min(1).max(100).default(DEFAULT_SETTINGS.maxDeletes),
})

const recordSchema = z.strictObject({
  id: folderIdSchema,
  name: z.string().min(1),
  /** Absolute, without symlinks when it was added. */
  path: z.string().min(1),
  /** Taken from another device: its documents are pulled before anything is published. */
  taken: z.boolean(),
  paused: z.boolean(),
  /** The disk takes two names that differ in case alone for one. */
  foldsCase: z.boolean(),
  /** Its marker was written: from then on a root without it is not this folder. */
  marked: z.boolean(),
  settings: settingsSchema.prefault({}),
})

const listSchema = z.strictObject({
  format: z.literal(1),
  folders: z.array(recordSchema),
  erasing: z.array(folderIdSchema),
})

export type FolderRecord = Readonly<z.infer<typeof recordSchema>>

interface FolderList {
  readonly folders: readonly FolderRecord[]
  readonly erasing: readonly FolderId[]
}

export interface FolderListFile {
  load(): Promise<FolderList>
  save(list: FolderList): Promise<void>
}

export function folderListFile(path: string): FolderListFile {
  return {
    async load() {
      let text: string
      try {
        text = await readFile(path, 'utf8')
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return { folders: [], erasing: [] }
        throw error
      }
      try {
        const { folders, erasing } = listSchema.parse(JSON.parse(text))
        return { folders, erasing }
      } catch (error) {
        throw new KithError(
          'home-damaged',
          `${printable(path)}, the list of folders, is damaged: restore it from a backup, or remove it and add the folders anew.`,
          {
            cause: error,
          },
        )
      }
    },
    save: list => writeAtomic(path, `${JSON.stringify({ format: 1, ...list }, null, 2)}\n`),
  }
}
