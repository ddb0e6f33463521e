// What a folder gets when it is shared: replication and content exchange as one FolderNetwork.
import type { FolderNetwork, SharedFolder } from '../core/ports.ts'
import type { ContentExchange } from './content-exchange.ts'
import type { Replication } from './replication.ts'

/** Afterwards the folder is known to all sessions; the caller tells the peers (`sendMembership`). */
export function shareFolder(folder: SharedFolder, replication: Replication, exchange: ContentExchange): FolderNetwork {
  return { ...replication.share(folder), ...exchange.share(folder.id) }
}
