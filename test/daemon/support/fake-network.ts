// The network as the daemon sees it, moved by the test.
import { KithError } from '../../../src/core/errors.ts'
import type { DeviceId, FolderId } from '../../../src/core/ids.ts'
import type {
  DeviceState,
  FolderNetwork,
  FolderOffer,
  Network,
  PairingOffer,
  SharedFolder,
  Waiting,
} from '../../../src/core/ports.ts'

export const OWN_ID = '12D3KooWOwnDeviceaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' as DeviceId
export const CODE = '7F3K-Q2XM'

export class FakeNetwork implements Network {
  readonly device = OWN_ID
  readonly name = 'laptop'
  readonly shared = new Map<FolderId, SharedFolder>()
  readonly calls: unknown[][] = []
  states: DeviceState[] = []
  offered: FolderOffer[] = []
  /** Of the last `offerPairing`. */
  offer: { readonly cancelled: () => boolean; use(by: { id: DeviceId; name: string } | Error): void } | null = null

  async start(): Promise<void> {}
  async stop(): Promise<void> {}

  addresses(): readonly string[] {
    return ['/ip4/192.0.2.7/tcp/4001']
  }

  devices(): readonly DeviceState[] {
    return this.states
  }

  setDevice(id: DeviceId, change: Partial<DeviceState> = {}): void {
    const device = {
      id,
      name: `device-${id.slice(-4)}`,
      connected: true,
      address: '/ip4/192.0.2.8/tcp/4001',
      lastSeen: Date.UTC(2026, 10, 22),
      sighted: true,
      ...change,
    }
    this.states = [...this.states.filter(each => each.id !== id), device]
  }

  async offerPairing({ signal }: Waiting): Promise<PairingOffer> {
    let cancelled = false
    let settle: { resolve: (by: { id: DeviceId; name: string }) => void; reject: (error: Error) => void } | null = null
    const paired = new Promise<{ id: DeviceId; name: string }>((resolve, reject) => {
      settle = { resolve, reject }
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    })
    paired.catch(() => undefined)
    const cancel = (): void => {
      cancelled = true
    }
    this.offer = {
      cancelled: () => cancelled,
      use: by => (by instanceof Error ? settle?.reject(by) : settle?.resolve(by)),
    }
    return { code: CODE, ticket: 'kith:ticket', expiresAt: Date.now() + 300_000, paired, cancel }
  }

  async join(code: string, options: Waiting & { address?: string }): Promise<{ id: DeviceId; name: string }> {
    this.calls.push(['join', code, options.address])
    if (code !== CODE) throw new KithError('pairing-wrong-code', 'That is not the code: look at the other device.')
    return { id: '12D3KooWOther' as DeviceId, name: 'desktop' }
  }

  async removeDevice(device: DeviceId): Promise<void> {
    this.calls.push(['remove', device])
    this.states = this.states.filter(each => each.id !== device)
  }

  async renameDevice(device: DeviceId, name: string): Promise<void> {
    this.calls.push(['rename', device, name])
  }

  async addAddress(device: DeviceId, address: string): Promise<void> {
    this.calls.push(['address', device, address])
  }

  offers(): readonly FolderOffer[] {
    return this.offered
  }

  share(folder: SharedFolder): FolderNetwork {
    this.shared.set(folder.id, folder)
    return {
      peers: () => [],
      isMember: () => true,
      announce: () => undefined,
      stateChanged: () => undefined,
      // biome-ignore lint/correctness/useYield: nothing comes from nobody
      async *fetchWhole() {
        return
      },
      fetchList: async () => null,
      // biome-ignore lint/correctness/useYield: nothing comes from nobody
      async *fetchChunks() {
        return
      },
      offer: () => undefined,
      reportBad: () => undefined,
      past: async () => null,
      history: async () => [],
      holders: async () => [],
    }
  }

  async unshare(folder: FolderId): Promise<void> {
    this.shared.delete(folder)
  }
}
