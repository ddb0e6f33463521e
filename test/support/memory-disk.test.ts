// The fake disk keeps the same contract as the real one.
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
