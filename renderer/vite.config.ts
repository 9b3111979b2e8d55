/** Renderer alone, for looking at it in a browser: `npx vite --config renderer/vite.config.ts`. The product build is electron.vite.config.ts. */
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

export const rendererConfig = defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [vue()],
})

export default rendererConfig
