// The shapes of the local API, once: they check what comes in, describe what goes out in the OpenAPI document, and are the types that
// clients use. What scripts rely on may grow and never changes.
import { z } from '@hono/zod-openapi'

const time = z.string().openapi({ format: 'date-time' })
const needSchema = z.object({ files: z.int().min(0), bytes: z.number().min(0) })

export const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) }).openapi('Error')

const namedDeviceSchema = z.object({ id: z.string(), name: z.string() })

const deviceSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    connected: z.boolean(),
    address: z.string().nullable(),
    lastSeen: time.nullable(),
    /** Seen on the network and not linked yet. */
    sighted: z.boolean(),
  })
  .openapi('Device')

const folderDeviceSchema = z.object({
  id: z.string(),
  name: z.string(),
  connected: z.boolean(),
  inSync: z.boolean(),
  /** For an absent device: when that was so. */
  asOf: time.nullable(),
  need: needSchema,
  /** Why the folder does not sync there: `paused`, or the code of its halt. */
  stopped: z.string().nullable(),
})

const settingsSchema = z
  .object({
    /** `all`: a backup device, which keeps every version that passes by, for ever. */
    versions: z.enum(['standard', 'all']),
    /** What kept versions may take, in bytes; null: a tenth of the disk. */
    versionLimit: z.int().min(1).nullable(),
    /** A warning where fewer devices hold the newest content. */
    minCopies: z.int().min(1).max(100),
    /** Percent of its files: where another device deletes more within ten minutes, a person is asked first. 100: never. */
    maxDeletes: z.int().min(1).max(100),
  })
  .openapi('FolderSettings')

const folderSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    path: z.string(),
    mode: z.literal('two-way'),
    settings: settingsSchema,
    state: z.enum(['idle', 'scanning', 'syncing', 'paused', 'error']),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    problems: z.array(z.object({ code: z.string(), path: z.string(), message: z.string() })),
    files: z.int().min(0),
    directories: z.int().min(0),
    bytes: z.number().min(0),
    need: needSchema,
    conflicts: z.int().min(0),
    devices: z.array(folderDeviceSchema),
  })
  .openapi('Folder')

const offerSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    /** What `kith get` calls it here: told apart from equal names. */
    shownAs: z.string(),
    devices: z.array(namedDeviceSchema),
    /** A folder here that has the same name and is another one: its path, to join the two. */
    twin: z.string().nullable(),
  })
  .openapi('Offer')

export const statusSchema = z
  .object({
    device: z.object({ id: z.string(), name: z.string(), version: z.string() }),
    daemon: z.object({ pid: z.int(), startedAt: time, home: z.string(), addresses: z.array(z.string()) }),
    devices: z.array(deviceSchema),
    folders: z.array(folderSchema),
    offers: z.array(offerSchema),
  })
  .openapi('Status')

export const devicesSchema = z.object({ devices: z.array(deviceSchema) })
export const foldersSchema = z.object({ folders: z.array(folderSchema), offers: z.array(offerSchema) })
export const folderResultSchema = z.object({ folder: folderSchema })
export const answeredFolderSchema = folderResultSchema.extend({
  /** What the answer does, in words. */
  message: z.string(),
})
export const removedFolderSchema = z.object({
  removed: z.object({ id: z.string(), name: z.string(), path: z.string() }),
})
export const deviceResultSchema = z.object({ device: deviceSchema })
export const removedDeviceSchema = z.object({ removed: namedDeviceSchema })

export const pairingOfferSchema = z
  .object({ code: z.string(), ticket: z.string(), expiresAt: time })
  .openapi('PairingOffer')
export const pairedSchema = z.object({ paired: namedDeviceSchema }).openapi('Paired')

export const waitResultSchema = z.object({
  inSync: z.literal(true),
  folders: z.array(z.string()),
  absent: z.array(namedDeviceSchema),
  /** Folders that are paused, and so were not waited for. */
  paused: z.array(z.string()),
})

export const conflictsSchema = z
  .object({
    conflicts: z.array(
      z.object({
        folder: z.string(),
        path: z.string(),
        versions: z.array(
          z.object({ id: z.string(), device: z.string().nullable(), time, path: z.string(), hash: z.string() }),
        ),
      }),
    ),
  })
  .openapi('Conflicts')

// -- the past; paths are relative to their folder, with `/`

const actionSchema = z.enum(['created', 'edited', 'moved', 'deleted', 'merged', 'restored'])
const kindSchema = z.enum(['file', 'directory', 'symlink'])
const bytesSchema = z.number().min(0)

const versionSchema = z
  .object({
    /** Opaque; its beginning will do, as far as it tells it apart. */
    id: z.string(),
    time,
    device: z.string(),
    deviceId: z.string(),
    action: actionSchema,
    kind: kindSchema,
    path: z.string(),
    /** Of a move: where it came from. */
    from: z.string().nullable(),
    size: bytesSchema,
    hash: z.string(),
    here: z.boolean(),
    /** Those that answered and hold its content. */
    devices: z.array(z.string()),
  })
  .openapi('Version')

export const historySchema = z
  .object({
    folder: z.string(),
    path: z.string(),
    versions: z.array(versionSchema),
    /** What stands there, or, elsewhere, what stood there; null: it is gone. */
    now: z
      .object({
        path: z.string(),
        kind: kindSchema,
        size: bytesSchema,
        hash: z.string(),
        devices: z.array(z.string()),
        /** It is a conflict copy: of this path. */
        copyOf: z.string().nullable(),
        /** What lies on this disk is known not to be what it should be. */
        damaged: z.boolean(),
      })
      .nullable(),
    /** Devices that have the folder and could not be asked. */
    away: z.array(namedDeviceSchema),
  })
  .openapi('History')

export const treeSchema = z
  .object({
    folder: z.string(),
    path: z.string(),
    /** Null: now. */
    at: time.nullable(),
    entries: z.array(
      z.object({
        path: z.string(),
        kind: kindSchema,
        size: bytesSchema,
        /** When it was last modified. */
        time,
        device: z.string().nullable(),
        /** Devices that hold its newest content. */
        copies: z.int().min(0).nullable(),
      }),
    ),
  })
  .openapi('Tree')

const changeSchema = z
  .object({
    folder: z.string(),
    action: z.enum(['create', 'edit', 'move', 'delete']),
    kind: kindSchema,
    path: z.string(),
    from: z.string().nullable(),
    size: bytesSchema,
  })
  .openapi('Change')

export const outcomeSchema = z
  .object({
    /** False: that is what would be changed. */
    done: z.boolean(),
    changes: z.array(changeSchema),
    /** Left as they are: no device that answered holds what they were. */
    missing: z.array(changeSchema),
    /** Of an undo, left as they are: what that device did to them cannot be told from what others did. */
    unclear: z.array(z.object({ folder: z.string(), path: z.string() })),
    /** Devices that could tell more of what is unclear, and did not answer. */
    silent: z.array(namedDeviceSchema),
    /** Of an undo: what others changed later than that device did, and what stays for that; by whom, where it is known. */
    kept: z.array(z.object({ folder: z.string(), path: z.string(), by: z.string().nullable() })),
    /** Of a restore that found nothing to do: what is newer, and does not get to this disk. */
    behind: z.array(z.object({ folder: z.string(), path: z.string(), message: z.string() })),
    /** Stored, but not to be seen on this disk yet: `files` are to come from other devices, or the folder stands still. */
    pending: z.array(z.object({ folder: z.string(), files: z.number().int(), stopped: z.string().nullable() })),
  })
  .openapi('Outcome')

const diffSideSchema = z.object({
  id: z.string().nullable(),
  /** Null: now. */
  time: time.nullable(),
  device: z.string().nullable(),
  size: bytesSchema,
  /** It did not exist. */
  gone: z.boolean(),
})

export const diffSchema = z
  .object({
    folder: z.string(),
    path: z.string(),
    from: diffSideSchema,
    to: diffSideSchema,
    /** Of two texts of at most 2 MB. */
    text: z.object({ from: z.string(), to: z.string() }).nullable(),
    /** Of two states of a directory. */
    changes: z.array(changeSchema).nullable(),
  })
  .openapi('Difference')

export const copiedSchema = z
  .object({
    folder: z.string(),
    path: z.string(),
    to: z.string(),
    files: z.int().min(0),
    bytes: bytesSchema,
    missing: z.array(z.string()),
  })
  .openapi('Copied')

export const resolvedSchema = z.object({ folder: z.string(), path: z.string(), kept: z.string() })

export const verifySchema = z
  .object({
    checked: z.int().min(0),
    bytes: bytesSchema,
    /** Kept a moment ago and not what they were: whether that is damage is known in a minute or two. */
    unverified: z.int().min(0),
    /** Of what file each of them is a version, where that is known. */
    unverifiedFiles: z.array(z.object({ folder: z.string(), path: z.string() })),
    /** Folders that are paused, and so were not read. */
    paused: z.array(z.string()),
    damaged: z.array(
      z.object({
        folder: z.string(),
        /** Of the folder, on this device. */
        root: z.string(),
        path: z.string(),
        /** A kept version, not a file of the tree. */
        version: z.boolean(),
        hash: z.string(),
        repaired: z.boolean(),
        /** Whether it is sound cannot be told. */
        unreadable: z.boolean(),
        /** Of a file that is not repaired: devices that were not asked, and the newest other version that can be had. */
        away: z.array(z.string()),
        earlier: z.string().nullable(),
      }),
    ),
    /** The last monthly rehearsals of a restore. */
    drills: z.array(z.object({ folder: z.string(), time, checked: z.int().min(0), damaged: z.int().min(0) })),
  })
  .openapi('Verified')

export const acceptedSchema = z
  .object({
    folder: z.string(),
    path: z.string(),
    /** `repaired`: a device had it sound; `sound`: there was nothing to accept. */
    outcome: z.enum(['accepted', 'repaired', 'sound']),
  })
  .openapi('Accepted')

export const copiesSchema = z
  .object({
    devices: z.int().min(1),
    files: z.array(
      z.object({
        folder: z.string(),
        path: z.string(),
        size: bytesSchema,
        holders: z.array(z.string()),
        /** Is it on this device? */
        here: z.boolean(),
        /** What lies on this disk is known not to be what it should be. */
        damaged: z.boolean(),
      }),
    ),
    /** Of which no other device is known to hold the newest content. */
    atRisk: needSchema,
    /** Not here now: what they hold is what they held then. */
    stale: z.array(namedDeviceSchema.extend({ asOf: time.nullable() })),
  })
  .openapi('Copies')

/** A line of an answer that takes long. */
export const progressSchema = z.object({ progress: needSchema })

export const stoppingSchema = z.object({ stopping: z.literal(true), pid: z.int() })

// -- what comes in

export const joinBody = z.strictObject({ code: z.string().min(1).max(4096), address: z.string().max(1024).optional() })
export const nameBody = z.strictObject({ name: z.string().min(1) })
export const renameBody = z.strictObject({ name: z.string().min(1), to: z.string().trim().min(1).max(63) })
export const addressBody = z.strictObject({ name: z.string().min(1), address: z.string().min(1).max(1024) })
export const addBody = z.strictObject({
  path: z.string().min(1),
  name: z.string().min(1).optional(),
  create: z.boolean().default(false),
})
export const getBody = z.strictObject({
  name: z.string().min(1),
  path: z.string().min(1).optional(),
  into: z.string().min(1),
})
export const removeDeviceBody = nameBody.extend({ force: z.boolean().default(false) })
export const settingsBody = nameBody.extend({ settings: settingsSchema.partial().strict() })

/** Absolute. */
const path = z.string().min(1).max(32_768)
const moment = z.iso.datetime({ offset: true })
const version = z.string().min(1).max(256)
const isTrue = z.boolean().default(false)

export const pathQuery = z.strictObject({ path })
export const treeQuery = pathQuery.extend({ at: moment.optional() })
export const copiesQuery = pathQuery.partial()
/** A version or a time each; none: the newest, and the one before it. */
export const diffQuery = pathQuery.extend({
  from: version.optional(),
  to: version.optional(),
  at: moment.optional(),
  until: moment.optional(),
})
const restored = pathQuery.extend({ version: version.optional(), at: moment.optional() })
export const restoreBody = restored.extend({ keepNew: isTrue, dryRun: isTrue })
export const restoreCopyBody = restored.extend({ to: path })
export const undoBody = z.strictObject({
  device: z.string().min(1),
  since: moment,
  folder: z.string().min(1).optional(),
  dryRun: isTrue,
})
export const resolveBody = pathQuery.extend({ keep: version })
export const verifyBody = nameBody.partial()

export const waitBody = z.strictObject({
  timeoutMs: z.number().positive().max(2_147_483_647).optional(),
  folder: z.string().min(1).optional(),
  device: z.string().min(1).optional(),
})

export type StatusBody = z.infer<typeof statusSchema>
export type DeviceBody = z.infer<typeof deviceSchema>
export type FolderBody = z.infer<typeof folderSchema>
export type OfferBody = z.infer<typeof offerSchema>
export type DevicesBody = z.infer<typeof devicesSchema>
export type FoldersBody = z.infer<typeof foldersSchema>
export type FolderResultBody = z.infer<typeof folderResultSchema>
export type AnsweredFolderBody = z.infer<typeof answeredFolderSchema>
export type RemovedFolderBody = z.infer<typeof removedFolderSchema>
export type DeviceResultBody = z.infer<typeof deviceResultSchema>
export type RemovedDeviceBody = z.infer<typeof removedDeviceSchema>
export type PairingOfferBody = z.infer<typeof pairingOfferSchema>
export type PairedBody = z.infer<typeof pairedSchema>
export type WaitResultBody = z.infer<typeof waitResultSchema>
export type ConflictsBody = z.infer<typeof conflictsSchema>
export type HistoryBody = z.infer<typeof historySchema>
export type VersionBody = z.infer<typeof versionSchema>
export type TreeBody = z.infer<typeof treeSchema>
export type ChangeBody = z.infer<typeof changeSchema>
export type OutcomeBody = z.infer<typeof outcomeSchema>
export type DiffBody = z.infer<typeof diffSchema>
export type CopiedBody = z.infer<typeof copiedSchema>
export type AcceptedBody = z.infer<typeof acceptedSchema>
export type ResolvedBody = z.infer<typeof resolvedSchema>
export type VerifyBody = z.infer<typeof verifySchema>
export type CopiesBody = z.infer<typeof copiesSchema>
export type ProgressBody = z.infer<typeof progressSchema>
export type DiffRequest = z.infer<typeof diffQuery>
export type RestoreRequest = z.infer<typeof restoreBody>
export type RestoreCopyRequest = z.infer<typeof restoreCopyBody>
export type UndoRequestBody = z.infer<typeof undoBody>
export type SettingsRequest = z.infer<typeof settingsBody>['settings']
export type StoppingBody = z.infer<typeof stoppingSchema>
export type WaitRequest = z.infer<typeof waitBody>
