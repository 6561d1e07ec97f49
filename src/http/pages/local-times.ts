/** What a browser runs: beside each UTC time it shows its own. Without it, the page is whole. */
export const LOCAL_TIMES = `'use strict'
const format = new Intl.DateTimeFormat(undefined, {
  year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
})
for (const place of document.querySelectorAll('[data-local]')) {
  const at = new Date(place.dataset.local)
  if (Number.isNaN(at.getTime()) || at.getTimezoneOffset() === 0) continue
  place.textContent = format.format(at)
  place.hidden = false
}
`
