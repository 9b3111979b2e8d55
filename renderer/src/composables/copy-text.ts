/** Text to the clipboard. The asynchronous clipboard may be refused by permission policy; then the old command does it. */
export async function copyText(content: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(content)
    return true
  } catch {
    return copyBySelection(content)
  }
}

function copyBySelection(content: string): boolean {
  const area = document.createElement('textarea')
  const focused = document.activeElement
  area.value = content
  area.className = 'visually-hidden'
  area.setAttribute('aria-hidden', 'true')
  document.body.append(area)
  area.select()
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- the only way left where the clipboard permission is denied
  const isCopied = document.execCommand('copy')
  area.remove()
  if (focused instanceof HTMLElement) focused.focus()
  return isCopied
}
