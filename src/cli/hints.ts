// What a person may want to type next: folders that others offer, and folders of one name that are not joined.
import { quote } from '../core/display.ts'
import type { OfferBody } from '../daemon/api/schema.ts'
import { name } from './output.ts'

/** One line each for a folder here and one elsewhere that have the same name and are two. */
export function twinHints(offers: readonly OfferBody[], command: string): string[] {
  return offers.flatMap(offer => {
    if (offer.twin === null) return []
    const there = offer.devices.map(device => name(device.name)).join(', ')
    const line = `${command} get ${offer.id} ${quote(offer.twin)}`
    return [
      `"${name(offer.name)}" here and "${name(offer.name)}" on ${there} are two folders. To make them one:  ${name(line)}`,
    ]
  })
}

/** How to take what is offered. */
export function offerHints(offers: readonly OfferBody[], command: string): string[] {
  return offers
    .filter(offer => offer.twin === null)
    .map(offer => {
      const there = offer.devices.map(device => name(device.name)).join(', ')
      return `${there} offers "${name(offer.name)}". To take it:  ${name(`${command} get ${quote(offer.shownAs)}`)}`
    })
}
