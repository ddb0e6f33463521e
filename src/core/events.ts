// Facts in the past tense, for people (`kith events`) and logs. Control never travels here: it is a direct call or `wake()`.
import type { DeviceId, FolderId } from './ids.ts'

export type KithEvent =
  | { readonly type: 'daemon:started' }
  | { readonly type: 'device:sighted'; readonly device: DeviceId }
  | { readonly type: 'device:linked'; readonly device: DeviceId; readonly name: string; readonly address: string }
  | { readonly type: 'device:unlinked'; readonly device: DeviceId; readonly reason: string }
  | { readonly type: 'device:paired'; readonly device: DeviceId; readonly name: string; readonly by: DeviceId }
  | {
      readonly type: 'device:removed'
      readonly device: DeviceId
      readonly name: string
      readonly by: DeviceId
      readonly added: readonly string[]
    }
  | { readonly type: 'statement:refused'; readonly from: DeviceId; readonly reason: string }
  | { readonly type: 'update:refused'; readonly folder: FolderId; readonly from: DeviceId; readonly reason: string }
  | { readonly type: 'folder:added'; readonly folder: FolderId; readonly name: string; readonly path: string }
  | { readonly type: 'folder:removed'; readonly folder: FolderId; readonly name: string }
  | { readonly type: 'folder:state'; readonly folder: FolderId; readonly state: string }
  | { readonly type: 'folder:halted'; readonly folder: FolderId; readonly code: string; readonly message: string }
  | { readonly type: 'folder:resumed'; readonly folder: FolderId }
  /** Others hold writes of this device that it does not know: its database is an older copy. */
  | { readonly type: 'folder:rolled-back'; readonly folder: FolderId; readonly from: DeviceId }
  /** All that lies here was compared with what others know of the past. */
  | { readonly type: 'folder:rejoined'; readonly folder: FolderId }
  | { readonly type: 'file:published'; readonly folder: FolderId; readonly path: string; readonly action: string }
  | { readonly type: 'file:applied'; readonly folder: FolderId; readonly path: string; readonly action: string }
  | { readonly type: 'file:conflicted'; readonly folder: FolderId; readonly path: string }
  | { readonly type: 'file:merged'; readonly folder: FolderId; readonly path: string }
  /** Its bytes changed though nobody wrote to it. `version`: a kept one, then without a path. */
  | {
      readonly type: 'file:damaged'
      readonly folder: FolderId
      readonly path: string
      readonly version: boolean
      readonly repaired: boolean
    }
  | { readonly type: 'folder:verified'; readonly folder: FolderId; readonly checked: number; readonly damaged: number }
  /** The monthly rehearsal: some files and versions were read as a restore reads them. */
  | { readonly type: 'folder:drilled'; readonly folder: FolderId; readonly checked: number; readonly damaged: number }
  | {
      readonly type: 'problem:found'
      readonly folder: FolderId
      readonly code: string
      readonly path: string
      readonly message: string
    }

export type Emit = (event: KithEvent) => void
