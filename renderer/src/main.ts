/** Entry of the page. Preview builds answer themselves; the product talks to Electron's preload script or to the local server. */
import { createPinia } from 'pinia'
import { createApp } from 'vue'
import App from './App.vue'
import { setApi } from './bridge/api.ts'
import './styles/tokens.css'
import './styles/base.css'

if (import.meta.env.MODE === 'preview' || import.meta.env.DEV) {
  const wanted = new URLSearchParams(location.search).get('fake')
  if (wanted !== null) {
    const { createPreviewApi } = await import('./preview/preview-api.ts')
    setApi(createPreviewApi(new URLSearchParams(location.search)))
  }
}

createApp(App).use(createPinia()).mount('#app')
