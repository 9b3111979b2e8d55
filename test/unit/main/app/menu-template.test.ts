import type { MenuItemConstructorOptions } from 'electron'
import { expect, test } from 'vitest'
import { menuTemplate } from '../../../../main/app/menu-template.ts'
import { COMMAND_LIST } from '../../../../shared/domain/app-command.ts'

type Item = MenuItemConstructorOptions

function itemsOf(isMac: boolean, isPackaged: boolean, chosen: string[] = []): readonly Item[] {
  const template = menuTemplate({ isMac, isPackaged, onCommand: (command) => chosen.push(command) })
  const below = (item: Item): readonly Item[] => [
    item,
    ...(Array.isArray(item.submenu) ? item.submenu.flatMap(below) : []),
  ]
  return template.flatMap(below)
}

const choose = (item: Item): void => {
  ;(item.click as unknown as () => void)()
}

test('every accelerator of the list is in the menu, on the command that it belongs to', () => {
  const chosen: string[] = []
  const items = itemsOf(false, true, chosen)
  for (const { id, accelerator } of COMMAND_LIST) {
    if (accelerator === undefined) continue
    const item = items.find((entry) => entry.accelerator === accelerator)
    expect(item, accelerator).toBeDefined()
    if (item !== undefined) choose(item)
    expect(chosen.at(-1)).toBe(id)
  }
})

test('a packaged application offers no developer tools', () => {
  const roles = (isPackaged: boolean): readonly unknown[] =>
    itemsOf(false, isPackaged).map(({ role }) => role)
  expect(roles(false)).toContain('toggleDevTools')
  expect(roles(true)).not.toContain('toggleDevTools')
  expect(roles(true)).not.toContain('reload')
})

test('macOS has its application menu and closes windows from File; elsewhere File quits', () => {
  const roles = (isMac: boolean): readonly unknown[] => itemsOf(isMac, true).map(({ role }) => role)
  expect(roles(true)).toEqual(expect.arrayContaining(['appMenu', 'close']))
  expect(roles(true)).not.toContain('quit')
  expect(roles(false)).toContain('quit')
})
