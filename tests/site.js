/* What tests/test_site.py asks a rendered page: `site.faults()` and so on. */
const shorten = e => e.outerHTML.slice(0, 120)
const all = selector => [...document.querySelectorAll(selector)]

window.site = {
    /** What is wrong with a page of the book, as sentences. */
    async faults(repository) {
        await window.MathJax?.startup?.promise
        const found = []
        const wrong = (what, where) => where.length
            && found.push(`${what}: ${where.map(e => e.outerHTML ? shorten(e) : e)}`)

        const html = document.documentElement.outerHTML
        wrong('waits for a kernel', html.match(/jupyter\.widget-(view|state)/) ?? [])
        const tall = e => e.getBoundingClientRect().height > 160
        wrong('a tall row', all('article tr').filter(tall))
        wrong('mathematics is not set', all('.math:not(:has(mjx-container))'))
        wrong('mathematics is wrong', all('mjx-merror, [data-mjx-error]'))
        wrong('a message of the build or the theme', all(`.system-message, .problematic,
            .bd-header-announcement, .bd-header-version-warning`)
            .filter(e => e.checkVisibility()))

        const raw = /\$|\\[(\[]|\\[a-zA-Z]{2,}|\{(ref|cite|numref)|^:::|\{\{/
        const apart = 'pre, code, script, style, mjx-container, kbd'
        const walker = document.createTreeWalker(
            document.querySelector('article'), NodeFilter.SHOW_TEXT)
        while (walker.nextNode()) {
            const { data, parentElement } = walker.currentNode
            if (raw.test(data) && !parentElement.closest(apart))
                wrong('markup in the text', [data])
        }

        const pictures = all('article img')
        pictures.forEach(img => img.loading = 'eager')
        await Promise.all(pictures.map(img => img.decode().catch(() => null)))
        wrong('does not load', pictures.filter(e => !e.naturalWidth))
        const name = /\.(png|svg|jpe?g)$|\/|^.{0,5}$/
        wrong('no alternative text', pictures.filter(e => name.test(e.alt)))
        wrong('no caption', all('article figure:not(:has(figcaption))'))
        wrong('a picture outside a figure', all('article .cell_output img:not(figure *)'))
        wrong('a drawing stays white in the dark or is shaded twice', all(`
            article figure img[src*="_images/"]:not(.srcnn-figure *),
            .srcnn-figure .srcnn-figure img`))

        const told = name => document.querySelector(`head meta[${name}]`)?.content ?? ''
        const expect = (what, holds) => holds || found.push(`lacks ${what}`)
        expect('a description', told('name=description').length > 40)
        expect('a title for sharing', told("property='og:title'"))
        expect('a preview', /preview\.png$/.test(told("property='og:image'")))
        expect('its language', document.documentElement.lang === 'en')
        expect('when it ran', /on 20\d\d-\d\d-\d\d with Python 3\.\d+\.\d+, PyTorch \d/
            .test(document.querySelector('.verified')?.innerText))
        const buttons = all('.dropdown-launch-buttons a').map(a => a.href)
        for (const host of ['colab.research.google.com', 'mybinder.org'])
            expect(`a way to ${host}`, !all('div.cell_input').length || buttons.some(
                href => href.includes(host) && href.includes(`/${repository}/`)))

        const twice = list => list.filter((item, k) => list.indexOf(item) < k)
        const terms = all('article a:has(> .std-term)').map(a => a.hash)
        if (!location.pathname.match(/E_paper_map|G_costs/)) { // by hand, or none
            wrong('linked twice', twice(terms))
            expect('links to terms', terms.length >= 3)
        }
        const symbols = all('a.srcnn-symbol').map(a => a.title.split(',')[0])
        wrong('a symbol linked twice', twice(symbols))
        if (location.pathname.endsWith('05_network.html'))
            for (const symbol of ['Y', 'W_1', 'n_1', 'f_3', 'c'])
                expect(`the symbol ${symbol}`, symbols.includes(symbol))
        return found
    },

    /** Opens what folds. */
    unfold() {
        all('details').forEach(e => e.open = true)
        all('.toggle-hidden').forEach(e => e.classList.remove('toggle-hidden'))
    },

    /** Leaves each colour of code once, a formula's frame and a table's beginning: axe
        looks at every element, half a minute long at those that are all the same. */
    thin() {
        const colours = new Set()
        for (const e of all('.highlight span[class]:not(:has(*))'))
            if (colours.has(e.className)) e.replaceWith(e.textContent)
            else colours.add(e.className)
        all('mjx-container svg').forEach(e => e.replaceChildren())
        all('article tr:nth-child(n + 12)').forEach(e => e.remove())
        all('article dl.py').slice(12).forEach(e => e.remove())
    },

    /** What is wider than the screen and does not scroll. */
    wide() {
        const width = document.documentElement.clientWidth
        const scrolls = e => e && (scrolls(e.parentElement)
            || /auto|scroll|hidden/.test(getComputedStyle(e).overflowX))
        const out = all('article *').filter(e => {
            const box = e.getBoundingClientRect()
            return box.right > width + 1 && box.width > 0 && !scrolls(e.parentElement)
        })
        if (document.documentElement.scrollWidth > width + 1) out.push(document.body)
        return out.slice(0, 5).map(shorten)
    },

    /** Boxes that are bright. */
    white: () => all('article *').filter(e => {
        const [r, g, b, a] = getComputedStyle(e).backgroundColor
            .match(/[\d.]+/g).map(Number)
        const { width, height } = e.getBoundingClientRect()
        return Math.min(r, g, b) > 160 && (a ?? 1) > 0.5
            && width * height > 3000 && !e.closest('select, button, input')
    }).map(shorten),

    // The network in the page

    app: () => document.querySelector('.srcnn-live').srcnn,
    state: () => window.site.app().state,
    idle: () => window.site.app()?.state.turn
        && !document.querySelector('.srcnn-live').hasAttribute('data-busy'),
    said: () => document.querySelector('.srcnn-live [role=status]').textContent,
    progress: () => document.querySelector('.srcnn-live progress').value,
    pack: ([name, text]) => srcnnFiles.add(name, text),
    look: ([x, y]) => window.site.app().dispatch({ type: 'look', x, y }),

    /** The result's width and its pixels, base64. */
    pixels(name = 'live-sr') {
        const canvas = document.querySelector(`canvas.${name}`)
        const { width, height } = canvas
        const { data } = canvas.getContext('2d').getImageData(0, 0, width, height)
        return [width, btoa(Array.from(data, k => String.fromCharCode(k)).join(''))]
    },

    /** Presses what can be pressed; whether work ran then, and a result was seen. */
    click(selector) {
        const element = document.querySelector(`.srcnn-live ${selector}`)
        const { busy, result } = window.site.seen()
        const can = element && !element.disabled
            && (element.checkVisibility({ visibilityProperty: true })
                || result && element.closest('.live-inside'))
        if (can) element.click()
        return { busy, result: Boolean(can) && result }
    },

    /** Clicks on the picture, where there is one. */
    press([x, y]) {
        const stage = document.querySelector('.live-stage')
        const { left, top } = stage.getBoundingClientRect()
        const at = { bubbles: true, clientX: left + x, clientY: top + y }
        if (stage.checkVisibility()) stage.dispatchEvent(new MouseEvent('click', at))
    },

    /** What the application shows, from the page alone. */
    seen() {
        const root = document.querySelector('.srcnn-live')
        const one = selector => root.querySelector(selector)
        const results = one('.live-result')
        const score = one('.live-score').textContent.match(/SRCNN ([\d.]+) dB/)
        const canvas = one('canvas.live-sr')
        const pressed = [...root.querySelectorAll('.live-filters [aria-pressed=true]')]
        const filter = one('.live-inside').open && one('.live-filters canvas')
        const choice = {}
        for (const name of ['task', 'scale', 'model'])
            choice[name] = one(`[name=${name}]`).value
        const result = !results.hidden && !results.matches('.live-waiting')
        const picture = one('[name=picture]').selectedOptions[0].textContent
        const hasFilters = one('.live-inside').open && result
        return { ...choice, picture, result, busy: root.hasAttribute('data-busy'),
            start: !one('[name=start]').hidden,
            off: hasFilters ? pressed.map(e => [...e.parentElement.children].indexOf(e))
                : window.site.state().off,
            size: canvas && [canvas.width, canvas.height],
            psnr: score && Number(score[1]), views: one('.live-zoom').children.length,
            filters: filter && [...filter.getContext('2d')
                .getImageData(0, 0, 9, 9).data] }
    },

    /** How the output at a place comes about. */
    trace(spot) {
        const { engine, state: { result } } = window.site.app()
        const { output, values, contributions } = srcnnTrace(engine, result, spot)
        const sum = contributions.reduce((a, b) => a + b, result.layers[2].biases[0])
        return { output, sum, sizes: values.map(v => v.length) }
    },

    /** The rows of numbers of the chosen unit. */
    arithmetic: () => all('.live-arithmetic tbody tr').map(
        row => [...row.children].map(cell => cell.textContent.replace('−', '-'))),

    /** Milliseconds that the page was busy at most, since `watch()`. */
    watch() {
        window.site.tasks = []
        window.site.observer = new PerformanceObserver(list =>
            window.site.tasks.push(...list.getEntries()))
        window.site.observer.observe({ type: 'longtask' })
    },
    longest() {
        const tasks = [...window.site.tasks, ...window.site.observer.takeRecords()]
        window.site.observer.disconnect()
        return Math.max(0, ...tasks.map(entry => entry.duration))
    },

    /** Drops or pastes a picture. */
    hand([way, text]) {
        const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
        const data = new DataTransfer()
        data.items.add(new File([bytes], `${way}.png`, { type: 'image/png' }))
        const about = { bubbles: true, cancelable: true, dataTransfer: data,
            clipboardData: data }
        const [Kind, place] = way === 'drop' ? [DragEvent, '.srcnn-live']
            : [ClipboardEvent, 'body']
        document.querySelector(place).dispatchEvent(new Kind(way, about))
    },
}
