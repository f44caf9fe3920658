// Unfolds what folds, writes the contents, waits for mathematics and pictures; returns
// the places that the contents name.
async () => {
  document.documentElement.dataset.theme = 'light';
  document.querySelectorAll('details').forEach(e => e.open = true);
  document.querySelectorAll('.toggle-hidden').forEach(
    e => e.classList.remove('toggle-hidden'));
  document.querySelectorAll('img').forEach(e => e.loading = 'eager');
  const plain = h => {
    const copy = h.cloneNode(true);
    copy.querySelectorAll('.headerlink, mjx-assistive-mml').forEach(e => e.remove());
    return copy.textContent.replace(/\s+/g, ' ').trim(); };
  const contents = document.createElement('nav');
  contents.className = 'pdf-contents';
  contents.innerHTML = '<p style="font-size: 2.6rem; margin: 4rem 0"></p>' +
    '<p style="font-size: 1.8rem">Contents</p>';
  contents.firstChild.textContent = document.title;
  const found = [];
  const add = (section, kind) => {
    const heading = section.querySelector(':scope > h1, :scope > h2, :scope > h3');
    if (!heading || !section.id) return;
    const link = document.createElement('a');
    link.href = '#' + section.id;
    link.className = kind;
    link.append(Object.assign(document.createElement('span'),
      {textContent: plain(heading)}), Object.assign(
      document.createElement('span'), {textContent: '000'}));
    contents.append(link);
    found.push(section.id); };
  const starts = [...document.querySelectorAll('span[id^="document-"]')];
  for (const start of starts) {
    const page = start.nextElementSibling;
    if (!page || page.tagName !== 'SECTION') continue;
    page.classList.add('pdf-chapter');
    add(page, 'pdf-page');
    page.querySelectorAll(':scope > section').forEach(e => add(e, 'pdf-section'));
  }
  const first = document.querySelector('article h1');
  first.closest('section').insertBefore(contents, first.nextSibling);
  await Promise.all([window.MathJax?.startup?.promise,
    ...[...document.images].map(image => image.decode().catch(() => null))]);
  return found; }
