// The fake disk keeps the same contract as the real one.
import { expect } from 'chai'
import { contentOf } from '../../src/core/content-list.ts'
import { type DiskSubject, diskContract } from '../contract/disk-contract.ts'
import { type VersionsSubject, versionsContract } from '../contract/versions-contract.ts'
import { MemoryDisk } from './memory-disk.ts'
import { MemoryPerson } from './memory-person.ts'
import { areaOf, MemoryVolume } from './memory-volume.ts'
import { DeviceClock, VirtualClock } from './virtual-clock.ts'

function open(options: { foldsCase?: boolean }, given?: MemoryVolume): Promise<DiskSubject> {
  const clock = new DeviceClock(new VirtualClock())
  const volume = given ?? new MemoryVolume({ stampUs: () => clock.stampUs(), ...options })
  return Promise.resolve({
    disk: new MemoryDisk({ volume }),
    person: new MemoryPerson(volume),
    listOf: contentOf,
    reopen: () => Promise.resolve(new MemoryDisk({ volume })),
    close: () => Promise.resolve(),
  })
}

async function openVersions(): Promise<VersionsSubject> {
  const clock = new DeviceClock(new VirtualClock())
  const volume = new MemoryVolume({ stampUs: () => clock.stampUs() })
  const subject = await open({}, volume)
  return {
    ...subject,
    spoil: content => {
      const { versions } = areaOf(volume)
      const bytes = Buffer.from(versions.get(content) ?? [])
      bytes.writeUInt8((bytes[1000] ?? 0) ^ 1, 1000)
      versions.set(content, bytes)
    },
    damaged: () => areaOf(volume).damaged.length,
  }
}

versionsContract('memory', openVersions)
diskContract('memory', () => open({}))
diskContract('memory, case folding', () => open({ foldsCase: true }))

describe('a disk in memory', () => {
  const signal = new AbortController().signal
  let volume: MemoryVolume
  let person: MemoryPerson
  let disk: MemoryDisk

  beforeEach(async () => {
    const clock = new DeviceClock(new VirtualClock())
    volume = new MemoryVolume({ stampUs: () => clock.stampUs() })
    person = new MemoryPerson(volume)
    disk = new MemoryDisk({ volume })
    await disk.accept()
  })

  for (const lose of ['unmountRoot', 'removeRoot'] as const) {
    it(`reads and writes in no other root than it looked at: ${lose}`, async () => {
      person.mkdir('d')
      person[lose]()
      const [made] = await disk.apply([{ do: 'mkdir', path: 'e', mode: 0o755 }], { signal })
      expect(made?.ok === false && made.problem.code).to.equal('failed')
      for await (const read of disk.scan(['', 'd'], { recursive: false, signal }))
        expect('gone' in read && [read.gone, read.problem?.code], read.path).to.deep.equal([false, 'unreadable'])
      expect([...volume.all()]).to.deep.equal([])
      person.remountRoot()
      const [again] = await disk.apply([{ do: 'mkdir', path: 'e', mode: 0o755 }], { signal })
      expect(again?.ok).to.equal(true)
      expect([...volume.all()].map(({ path }) => path)).to.deep.equal(['d', 'e'])
    })
  }
})
