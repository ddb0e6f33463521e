// `kith devices` and `kith device …`.
import { createInterface } from 'node:readline/promises'
import { KithError } from '../../core/errors.ts'
import type { DeviceResultBody, DevicesBody, RemovedDeviceBody } from '../../daemon/api/schema.ts'
import type { Context } from '../context.ts'
import { ago, name, shortId } from '../output.ts'

export async function devices({ client, out, place }: Context): Promise<void> {
  const body = await client.get<DevicesBody>('/devices')
  if (out.json) {
    out.document(body)
    return
  }
  if (body.devices.length === 0) {
    out.text(`No device is paired with this one. To pair one:  ${place.command} pair`)
    return
  }
  const { green, dim } = out.paint
  const rows = body.devices.map(device => [
    name(device.name),
    shortId(device.id),
    device.connected ? green('connected') : device.sighted ? 'near' : dim('away'),
    device.address === null ? '' : name(device.address),
    device.connected ? 'now' : device.lastSeen === null ? 'never' : ago(device.lastSeen, Date.now()),
  ])
  await out.table(['NAME', 'ID', 'STATE', 'ADDRESS', 'LAST SEEN'], rows)
}

export async function rename({ client, out }: Context, [device, to]: readonly (string | undefined)[]): Promise<void> {
  const body = await client.post<DeviceResultBody>('/devices/rename', { name: device, to })
  if (out.json) out.document(body)
  else out.text(`It is called ${name(body.device.name)} now, on every device.`)
}

export async function address(
  { client, out }: Context,
  [device, multiaddr]: readonly (string | undefined)[],
): Promise<void> {
  const body = await client.post<DeviceResultBody>('/devices/address', { name: device, address: multiaddr })
  if (out.json) out.document(body)
  else out.text(`${name(body.device.name)} is tried at that address from now on.`)
}

export async function remove(
  context: Context,
  [device]: readonly (string | undefined)[],
  options: { force?: boolean; yes?: boolean },
): Promise<void> {
  const { client, out } = context
  const force = options.force === true
  const sure = force || options.yes === true
  if (!sure && isThere(context) && !(await agree(context, device ?? ''))) {
    throw new KithError('bad-usage', 'Nothing was changed.')
  }
  const body = await client.post<RemovedDeviceBody>('/devices/remove', { name: device, force })
  // A script that names a device means it.
  if (!sure && !isThere(context)) out.note('No terminal is there, so nothing was asked; --yes says so beforehand.')
  if (out.json) {
    out.document(body)
    return
  }
  out.text(`${name(body.removed.name)} is revoked: no device takes it in any more, once it has heard of it.`)
  out.text('What is on it already stays there: only its own disk encryption protects that.')
}

function isThere({ surroundings }: Context): boolean {
  return (surroundings.stdin as Partial<NodeJS.ReadStream>).isTTY === true
}

async function agree({ surroundings }: Context, device: string): Promise<boolean> {
  const { stdin, stderr } = surroundings
  const lines = createInterface({ input: stdin, output: stderr })
  try {
    const answer = await lines.question(
      `Revoke ${name(device)} for ever? It can only come back as a new device. [y/N] `,
    )
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}
