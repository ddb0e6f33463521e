import { expect } from 'chai'
import { isWithin, overlap, parseMountInfo, regionsOf } from '../../src/daemon/mounts.ts'

// Two disks; /srv/b shows a directory of the first one again, /home/me/mnt another.
const TABLE = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:17 / /data rw shared:2 - ext4 /dev/sdb1 rw
31 22 8:1 /home/me/docs /srv/b rw shared:1 - ext4 /dev/sda1 rw
32 22 8:1 /var/x /home/me/mnt rw shared:1 - ext4 /dev/sda1 rw
33 22 8:17 /odd\\040name /mnt/odd\\040name rw - ext4 /dev/sdb1 rw
34 22 0:30 / /home/me/ram rw - tmpfs tmpfs rw
`

describe('daemon/mounts', () => {
  const mounts = parseMountInfo(TABLE)
  const shared = async (a: string, b: string): Promise<boolean> =>
    overlap(await regionsOf(a, mounts), await regionsOf(b, mounts))

  const cases: readonly (readonly [a: string, b: string, overlaps: boolean])[] = [
    ['/home/me/notes', '/home/me/photos', false],
    ['/home/me/notes', '/home/me/notes2', false],
    ['/home/me/notes', '/home/me/notes/sub', true],
    ['/srv/b', '/home/me/docs', true],
    ['/srv/b/sub', '/home/me/docs', true],
    ['/srv/b', '/home/me/docs/sub', true],
    ['/srv/b', '/home/me/other', false],
    ['/home/me', '/var/x/deep', true],
    ['/home/you', '/var/x/deep', false],
    ['/home/me', '/data', false],
    ['/data/odd name', '/mnt/odd name/sub', true],
    ['/data/odd', '/mnt/odd name', false],
    ['/home/me/ram', '/home/me/notes', false],
    ['/', '/srv/b', true],
  ]
  for (const [a, b, overlaps] of cases) {
    it(`${a} and ${b}: ${overlaps ? 'share files' : 'apart'}`, async () => {
      expect(await shared(a, b)).to.equal(overlaps)
      expect(await shared(b, a)).to.equal(overlaps)
    })
  }

  it('a name that another begins with is not its directory', () => {
    expect(isWithin('/a/bc', '/a/b')).to.equal(false)
    expect(isWithin('/a/b/c', '/a/b')).to.equal(true)
    expect(isWithin('/a', '/')).to.equal(true)
  })
})
