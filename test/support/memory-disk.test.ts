// The fake disk keeps the same contract as the real one.
import { contentOf } from '../../src/core/content-list.ts'
import { type DiskSubject, diskContract } from '../contract/disk-contract.ts'
import { MemoryDisk } from './memory-disk.ts'
import { MemoryPerson } from './memory-person.ts'
import { MemoryVolume } from './memory-volume.ts'
import { DeviceClock, VirtualClock } from './virtual-clock.ts'

function open(options: { foldsCase?: boolean }): Promise<DiskSubject> {
  const clock = new DeviceClock(new VirtualClock())
  const volume = new MemoryVolume({ stampUs: () => clock.stampUs(), ...options })
  return Promise.resolve({
    disk: new MemoryDisk({ volume }),
    person: new MemoryPerson(volume),
    listOf: contentOf,
    reopen: () => Promise.resolve(new MemoryDisk({ volume })),
    close: () => Promise.resolve(),
  })
}

diskContract('memory', () => open({}))
diskContract('memory, case folding', () => open({ foldsCase: true }))
