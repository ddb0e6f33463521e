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
})

const folderSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    path: z.string(),
    mode: z.literal('two-way'),
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
export type RemovedFolderBody = z.infer<typeof removedFolderSchema>
export type DeviceResultBody = z.infer<typeof deviceResultSchema>
export type RemovedDeviceBody = z.infer<typeof removedDeviceSchema>
export type PairingOfferBody = z.infer<typeof pairingOfferSchema>
export type PairedBody = z.infer<typeof pairedSchema>
export type WaitResultBody = z.infer<typeof waitResultSchema>
export type ConflictsBody = z.infer<typeof conflictsSchema>
export type StoppingBody = z.infer<typeof stoppingSchema>
export type WaitRequest = z.infer<typeof waitBody>
