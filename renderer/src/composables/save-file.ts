/** Hands a text to the user as a file: the browser, or Electron, asks where it goes. */
export function saveFile(name: string, type: string, content: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The download has begun; the address is of no use any more.
  setTimeout(() => {
    URL.revokeObjectURL(url)
  }, 10_000)
}
