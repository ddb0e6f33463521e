// Which of the paired devices may have a folder: a question of the engines, answered by the network.
import type { FolderId } from '../core/ids.ts'
import type { Network } from '../core/ports.ts'
import type { PairedDevice } from '../sync/company.ts'

/** One that was never linked may have whatever it likes. */
export function pairedDevices(folder: FolderId, network: Pick<Network, 'devices' | 'offers'>): readonly PairedDevice[] {
  const holders = network.offers().find(offer => offer.id === folder)?.devices ?? []
  return network
    .devices()
    .map(({ id, name, lastSeen }) => ({ id, name, mayHold: lastSeen === null || holders.includes(id) }))
}
