// The console: shows what /v1 says, and sends there what an operator asks for.
//
// Rules that hold everywhere in this file:
//  - Text becomes text nodes, never HTML. The page's policy (Trusted Types) enforces it.
//  - Name and password live in one Session object. Nothing is stored; a reload, leaving the page or an
//    hour without a key or a click forgets them. Requests carry no cookie and no certificate.
//  - What a button may do is decided by the service. Buttons that it would refuse are not shown.
const POLL_MS = 1000; // while a job is under way; otherwise half as often
const MAX_WAIT_MS = 15_000; // between tries when the service cannot be reached
const IDLE_MS = 3_600_000;
const TIMEOUT_MS = 20_000;
const RECENT_JOBS = 25;

const at = (id) => document.getElementById(id);

// element makes <tag class="..."> with children: elements, or texts.
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function button(text, className, onClick) {
  const made = element('button', className, text);
  made.type = 'button';
  made.addEventListener('click', onClick);
  return made;
}

// say shows a text, or hides its place if there is none. A text that is there already is left alone, so
// that screen readers do not repeat it.
function say(place, text) {
  if (place.textContent !== text) place.textContent = text;
  place.hidden = text === '';
}

// ---- The service

// sentence puts an error of the service into words.
const sentence = ({ message, hint }) => (hint ? `${message}: ${hint}.` : `${message}.`);

class ServiceError extends Error {
  constructor(status, error, wait) {
    super(error?.message || `The service answered ${status}`);
    this.status = status; // 0: it was not reached
    this.hint = error?.hint || '';
    this.wait = wait; // seconds until it may be asked again
  }
  toString() {
    if (this.status === 0) return 'The service cannot be reached.';
    if (this.status === 401) return 'The service does not accept this account any more.';
    if (this.status === 403) return 'This account may not do that.';
    if (this.status === 429) return `Too many requests. Asking again in ${this.wait} s.`;
    return sentence(this);
  }
}

class Session {
  #authorization;
  #ended = new AbortController();

  constructor(name, password) {
    const bytes = new TextEncoder().encode(`${name}:${password}`);
    this.#authorization = `Basic ${btoa(String.fromCharCode(...bytes))}`;
    this.lag = 0; // this clock, less the service's, in ms
  }

  end() {
    this.#authorization = '';
    this.#ended.abort();
  }

  get isOver() {
    return this.#ended.signal.aborted;
  }

  may(permission) {
    return this.account.permissions.includes(permission);
  }

  async ask(method, path, body) {
    const headers = { Authorization: this.#authorization };
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    let response;
    let answer;
    try {
      response = await fetch(`/v1${path}`, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: 'omit', // no prompt of the browser's, and nothing that it remembers
        cache: 'no-store',
        redirect: 'error',
        signal: AbortSignal.any([this.#ended.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      answer = await response.json();
    } catch {
      throw new ServiceError(response?.ok === false ? response.status : 0, null, 0);
    }
    this.lag = Date.now() - (Date.parse(response.headers.get('Date')) || Date.now());
    if (response.ok) return answer;
    throw new ServiceError(response.status, answer.error, Number(response.headers.get('Retry-After')) || 1);
  }

  get(path) {
    return this.ask('GET', path);
  }
}

const pathOf = (...parts) => parts.map((part) => `/${encodeURIComponent(part)}`).join('');

// ---- Numbers and times, for people

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const share = new Intl.NumberFormat('en', { style: 'percent', minimumFractionDigits: 1, maximumFractionDigits: 1 });
const deks = (count) => `${whole.format(count)} ${count === 1 ? 'DEK' : 'DEKs'}`;
const rate = (perSecond) => `${whole.format(perSecond)}/s`;

// percent rounds to tenths, but 100 % is all and nothing less, and 0 % is none at all.
function percent(part, all) {
  if (part >= all) return share.format(1);
  if (part === 0) return share.format(0);
  return share.format(Math.min(Math.max(part / all, 0.001), 0.999));
}

function duration(seconds) {
  if (seconds < 1) return 'under 1 s';
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

// ago gives a <time>; `seconds` is of the service's clock.
function ago(seconds) {
  if (seconds === null) return 'never';
  const date = new Date(seconds * 1000);
  const passed = (Date.now() - session.lag - date) / 1000;
  const made = element('time', '', passed < 5 ? 'just now' : `${duration(passed)} ago`);
  made.dateTime = date.toISOString();
  made.title = date.toLocaleString();
  return made;
}

const KINDS = {
  rekey: 'Rekey',
  reprotect: 'Move to another root',
  restore: 'Open every KEK',
  verify: 'Verify',
  decommission: 'Destroy a KEK version',
};
const PHASES = {
  none: '',
  creating_kek: 'making the new KEK',
  rewrapping: 'moving DEKs',
  verifying: 'proving that every DEK opens',
  decommissioning: 'destroying the old KEK',
};
const STATES = {
  queued: 'busy',
  running: 'busy',
  paused: 'warn',
  succeeded: 'good',
  incomplete: 'warn',
  failed: 'bad',
  cancelled: 'warn',
};
const hasEnded = (job) => !['queued', 'running', 'paused'].includes(job.state);
const versions = (job) => (job.to_version ? `KEK ${job.from_version} → ${job.to_version}` : '');

// ---- Cards. Each is made once and then updated, so that the focus stays where it is.

// Cards keeps one card for each item, in the items' order.
class Cards {
  #byKey = new Map();

  constructor(place, none, keyOf, Card) {
    Object.assign(this, { place, none, keyOf, Card });
  }

  get all() {
    return [...this.#byKey.values()];
  }

  show(items) {
    const keys = new Set(items.map(this.keyOf));
    for (const [key, card] of this.#byKey) {
      if (keys.has(key)) continue;
      card.root.remove();
      this.#byKey.delete(key);
    }
    items.forEach((item, index) => {
      const key = this.keyOf(item);
      if (!this.#byKey.has(key)) this.#byKey.set(key, new this.Card(item));
      const { root } = this.#byKey.get(key);
      if (this.place.children[index] !== root) this.place.insertBefore(root, this.place.children[index] ?? null);
      this.#byKey.get(key).update(item);
    });
    this.none.hidden = items.length > 0;
  }

  clear() {
    this.show([]);
    this.none.hidden = true;
  }
}

// act sends what a button asks for, shows what came of it, and then how things are.
async function act(control, done, ...request) {
  const mine = session;
  control.disabled = true;
  try {
    const answer = await mine.ask(...request);
    if (mine.isOver) return;
    say(at('problem'), '');
    say(at('result'), typeof done === 'function' ? done(answer) : done);
    poll();
  } catch (error) {
    if (mine.isOver) return;
    if (error.status === 401) return signOut(String(error));
    say(at('result'), '');
    say(at('problem'), String(error));
  } finally {
    control.disabled = false;
  }
}

class JobCard {
  constructor(job) {
    this.job = job;
    this.title = element('h3', '', `${KINDS[job.kind] ?? job.kind} of ${job.keyset}`);
    this.state = element('span', 'chip');
    this.percent = element('div', 'percent');
    this.bar = element('progress');
    this.bar.setAttribute('aria-label', `Progress of ${job.keyset}`);
    this.facts = element('div', 'facts');
    this.why = element('p', 'notice warn');
    this.root = element('article', 'panel job', element('div', 'head', this.title, this.state), this.percent, this.bar,
      this.facts, this.why);
    this.root.dataset.job = job.uuid;
    this.root.dataset.keyset = job.keyset;
    if (session.may('rekey')) this.root.append(this.#actions());
  }

  #actions() {
    const path = pathOf('jobs', this.job.uuid);
    const name = this.job.keyset;
    this.pause = button('Pause', 'pause', () => act(this.pause, `${name}: pausing.`, 'POST', `${path}/pause`));
    this.resume = button('Resume', 'resume', () => act(this.resume, `${name}: going on.`, 'POST', `${path}/resume`));
    this.cancel = button('Cancel…', 'danger cancel', () => confirm({
      title: `Cancel the ${KINDS[this.job.kind]?.toLowerCase()} of ${name}?`,
      text: 'No DEK is lost: a rekey that is cancelled leaves two KEK versions, both valid, and the next one goes on from there.',
      yes: 'Cancel the job',
      then: () => act(this.cancel, `${name}: cancelling.`, 'POST', `${path}/cancel`),
    }));
    this.actions = element('div', 'actions', this.pause, this.resume, this.cancel);
    if (this.job.kind === 'rekey') this.actions.append(this.#rateForm(path));
    return this.actions;
  }

  #rateForm(path) {
    this.rate = element('input', 'rate');
    Object.assign(this.rate, { type: 'number', min: '0', step: 'any', required: true, id: `rate-${this.job.uuid}` });
    const label = element('label', '', 'DEKs/s, 0: no limit');
    label.htmlFor = this.rate.id;
    const set = element('button', 'set-rate', 'Set');
    const form = element('form', '', label, this.rate, set);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const wanted = this.rate.valueAsNumber;
      const text = wanted === 0 ? 'no limit' : `at most ${rate(wanted)}`;
      act(set, `${this.job.keyset}: ${text}.`, 'PATCH', path, { rate: wanted });
    });
    return form;
  }

  update(job) {
    const before = this.job;
    this.job = job;
    const asked = job.requested === 'none' ? '' : ` · asked to ${job.requested}`;
    this.state.textContent = job.state + asked;
    this.state.className = `chip ${STATES[job.state] ?? ''}`;
    const counts = job.total > 0;
    this.percent.textContent = counts ? percent(job.done, job.total) : '';
    if (counts) {
      Object.assign(this.bar, { max: job.total, value: job.done });
    } else {
      this.bar.removeAttribute('value');
    }
    this.facts.replaceChildren(...this.#facts(job));
    say(this.why, job.error ? sentence(job.error) : '');
    if (this.actions) this.#updateActions(job, before);
  }

  #facts(job) {
    const fact = (number, text) => element('span', '', element('b', '', number), text);
    const facts = [];
    if (job.total > 0) facts.push(fact(whole.format(job.done), ` of ${deks(job.total)}`));
    if (job.state === 'running') {
      if (job.phase !== 'none') facts.push(element('span', 'phase', PHASES[job.phase] ?? job.phase));
      if (job.phase !== 'verifying' || job.kind === 'verify') {
        if (job.deks_per_second > 0) facts.push(fact(rate(job.deks_per_second), ''));
        if (job.seconds_left > 0) facts.push(fact(duration(job.seconds_left), ' left'));
      }
    }
    if (job.rate > 0) facts.push(element('span', '', `limit ${rate(job.rate)}`));
    if (versions(job)) facts.push(element('span', '', versions(job)));
    if (job.user) facts.push(element('span', '', `by ${job.user}`));
    return facts;
  }

  #updateActions(job, before) {
    const steers = job.kind !== 'reprotect' && job.kind !== 'decommission';
    this.pause.hidden = !steers || job.state === 'paused' || job.requested !== 'none';
    this.resume.hidden = job.state !== 'paused';
    this.cancel.hidden = !steers || job.requested === 'cancel';
    const isEdited = document.activeElement === this.rate || Number(this.rate?.value) !== before.rate;
    if (this.rate && (!isEdited || this.rate.value === '')) this.rate.value = job.rate;
  }
}

class KeysetCard {
  constructor(keyset) {
    this.name = keyset.name;
    this.path = pathOf('keysets', keyset.name);
    this.state = element('span', 'chip');
    this.about = element('p', 'quiet');
    this.bar = element('div', 'census');
    this.bar.setAttribute('role', 'img');
    this.table = element('tbody');
    this.destroyed = element('p', 'quiet small');
    this.warning = element('p', 'notice warn');
    this.warning.hidden = true;
    this.roots = element('ul', 'roots');
    const titles = ['KEK', 'State', 'DEKs', 'Made'].map((text, index) => {
      const made = element('th', index > 1 ? 'number' : '', text);
      made.scope = 'col';
      return made;
    });
    this.root = element('article', 'panel keyset', element('div', 'head', element('h3', '', keyset.name), this.state),
      this.about, this.bar, element('table', '', element('thead', '', element('tr', '', ...titles)), this.table),
      this.destroyed, this.warning,
      element('details', '', element('summary', '', 'Roots that guard the KEKs'), this.roots));
    this.root.dataset.keyset = keyset.name;
    this.segments = new Map(); // version -> its part of the bar
    this.nextCensus = 0;
    this.isVisible = true;
    whenVisible.observe(this.root);
    if (session.may('rekey')) this.root.append(this.#actions());
  }

  #actions() {
    this.rekey = button('Rekey…', 'primary rekey', () => askForRekey(this));
    this.verify = button('Verify', 'verify', () => act(this.verify, `${this.name}: verifying.`, 'POST', `${this.path}/verify`));
    return element('div', 'actions', this.rekey, this.verify);
  }

  update(keyset) {
    const changed = this.keyset?.current_version !== keyset.current_version || this.keyset?.job?.uuid !== keyset.job?.uuid;
    this.keyset = keyset;
    if (changed) this.nextCensus = 0;
    const { job } = keyset;
    const isUnfinished = keyset.rekey_target !== null && !job;
    this.state.textContent = job ? `${job.kind} ${job.state}` : isUnfinished ? 'unfinished rekey' : 'at rest';
    this.state.className = `chip ${job ? STATES[job.state] : isUnfinished ? 'warn' : ''}`;
    const parts = [deks(keyset.deks), `wrap ${keyset.wrap}`, `${keyset.dek_size}-byte DEKs`];
    if (keyset.custody !== 'host') parts.push(`custody ${keyset.custody}`);
    if (keyset.is_admin) parts.push('admin SVM');
    const isVerified = keyset.verified !== null && keyset.verified_version === keyset.current_version;
    this.about.replaceChildren(`${parts.join(' · ')} · `, ...(isVerified ? ['verified ', ago(keyset.verified)] : ['not verified yet']));
    if (this.rekey) this.rekey.disabled = Boolean(job);
    if (this.verify) this.verify.disabled = Boolean(job);
  }

  // refresh counts again, if it is seen and it is time. Counting many DEKs takes a while: no more than a
  // fifth of the time is spent on it.
  async refresh() {
    if (!this.isVisible || Date.now() < this.nextCensus) return;
    this.nextCensus = Infinity;
    const begun = Date.now();
    try {
      const [census, { keys }] = await Promise.all([session.get(`${this.path}/census`), session.get(`${this.path}/keys`)]);
      this.#showCensus(census);
      this.#showRoots(keys);
    } finally {
      const pause = this.keyset.job ? POLL_MS : 10 * POLL_MS;
      this.nextCensus = Date.now() + Math.max(pause - 100, 4 * (Date.now() - begun));
    }
  }

  #showCensus(census) {
    const live = census.versions.filter((version) => version.state !== 'destroyed');
    const total = census.versions.reduce((sum, { deks: count }) => sum + count, 0) + census.quarantined;
    const parts = live.map((one) => ({ key: one.version, count: one.deks, className: this.#isCurrent(one) ? 'new' : 'old' }));
    parts.push({ key: 'quarantine', count: census.quarantined, className: 'lost' });
    this.#showBar(parts, total);
    this.table.replaceChildren(...live.reverse().map((version) => this.#row(version, total)));
    const gone = census.versions.length - live.length;
    this.destroyed.textContent = gone === 0 ? '' : `${whole.format(gone)} earlier ${gone === 1 ? 'version' : 'versions'} destroyed`;
    const warnings = [];
    if (census.quarantined > 0) warnings.push(`${deks(census.quarantined)} damaged and in quarantine: rewrap quarantine list names them.`);
    if (census.unreadable_segments > 0) warnings.push('Segments cannot be read: run a verify.');
    say(this.warning, warnings.join(' '));
  }

  #isCurrent(version) {
    return version.version === this.keyset.current_version;
  }

  #showBar(parts, total) {
    const words = parts.filter(({ count }) => count > 0)
      .map(({ key, count }) => (key === 'quarantine' ? `quarantine: ${deks(count)}` : `KEK version ${key}: ${deks(count)}`));
    this.bar.setAttribute('aria-label', words.join(', ') || 'no DEKs');
    const keys = new Set(parts.filter(({ count }) => count > 0).map(({ key }) => key));
    for (const [key, segment] of this.segments) {
      if (keys.has(key)) continue;
      segment.remove();
      this.segments.delete(key);
    }
    for (const [index, { key, count, className }] of parts.entries()) {
      if (count === 0) continue;
      if (!this.segments.has(key)) this.segments.set(key, element('span'));
      const segment = this.segments.get(key);
      segment.className = className;
      segment.title = words.find((word) => word.includes(key)) ?? '';
      segment.style.order = String(index);
      segment.style.flexGrow = String(count / total);
      segment.dataset.version = key;
      segment.dataset.deks = count;
      if (segment.parentNode !== this.bar) this.bar.append(segment);
    }
  }

  #row(version, total) {
    const isCurrent = this.#isCurrent(version);
    const state = isCurrent ? 'current' : version.deks > 0 ? 'old, in use' : 'old, empty';
    const swatch = element('span', `swatch ${version.deks === 0 ? 'none' : isCurrent ? 'new' : 'old'}`);
    const row = element('tr', '', element('td', '', swatch, String(version.version)), element('td', '', state),
      element('td', 'number', whole.format(version.deks),
        element('span', 'quiet share', version.deks > 0 ? percent(version.deks, total) : '')),
      element('td', 'number', ago(version.created)));
    row.dataset.version = version.version;
    if (!isCurrent && version.deks === 0 && !this.keyset.job && session.may('rekey'))
      row.children[1].append(' ', this.#destroyButton(version.version));
    return row;
  }

  #destroyButton(version) {
    const made = button('destroy…', 'plain', () => confirm({
      title: `Destroy KEK version ${version} of ${this.name}?`,
      text: 'What is still wrapped under it anywhere else, in an old backup for instance, will never open again. The service refuses if anything here needs it.',
      yes: `Destroy version ${version}`,
      then: () => act(made, `${this.name}: destroying KEK version ${version}.`, 'POST',
        `${this.path}${pathOf('keys', version)}/decommission`),
    }));
    return made;
  }

  #showRoots(keys) {
    const lines = keys.flatMap((key) => key.protectors.map((protector) => element('li', '',
      `KEK ${key.version}: `, element('code', '', protector.root), ` · ${protector.mechanism}`,
      ...(protector.root_key ? [' · key ', element('code', '', protector.root_key)] : []))));
    this.roots.replaceChildren(...lines);
  }
}

// Only keysets that are on the screen are counted.
const whenVisible = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = keysetCards.all.find(({ root }) => root === entry.target);
    if (card) card.isVisible = entry.isIntersecting;
  }
});

const keysetCards = new Cards(at('keysets'), at('keysets-none'), ({ name }) => name, KeysetCard);
const jobCards = new Cards(at('running'), at('running-none'), ({ uuid }) => uuid, JobCard);

function recentRow(job) {
  const cell = (label, className, ...children) => {
    const made = element('td', className, element('span', '', ...children));
    made.dataset.label = label;
    return made;
  };
  const kind = KINDS[job.kind] ?? job.kind;
  const outcome = [element('span', `chip ${STATES[job.state] ?? ''}`, job.state)];
  if (job.error) outcome.push(element('span', 'why', sentence(job.error)));
  const took = job.started && job.ended ? duration(job.ended - job.started) : '';
  const row = element('tr', '', cell('Ended', '', ago(job.ended)), cell('Job', '', kind, element('span', 'why', versions(job))),
    cell('Keyset', '', job.keyset), cell('Outcome', '', ...outcome),
    cell('DEKs', 'number', job.total > 0 ? whole.format(job.done) : ''), cell('Took', 'number', took), cell('By', '', job.user));
  row.dataset.job = job.uuid;
  row.dataset.state = job.state;
  return row;
}

// ---- Dialogs

let afterConfirm = null;

function confirm({ title, text, yes, then }) {
  at('confirm-title').textContent = title;
  at('confirm-text').textContent = text;
  at('confirm-yes').textContent = yes;
  afterConfirm = then;
  at('confirm-dialog').showModal();
}

let rekeyCard = null;

function askForRekey(card) {
  rekeyCard = card;
  at('rekey-form').reset();
  at('rekey-name').textContent = card.name;
  at('rekey-dialog').showModal();
}

function startRekey() {
  const body = { decommission: at('rekey-decommission').checked };
  if (at('rekey-rate').value !== '') body.rate = at('rekey-rate').valueAsNumber;
  const { name, path, rekey } = rekeyCard;
  act(rekey, ({ is_new: isNew }) => (isNew ? `${name}: the rekey has begun.` : `${name}: a rekey is under way already.`),
    'POST', `${path}/rekey`, body);
}

// Escape and "Leave it" close a dialog and ask for nothing.
function onSubmit(form, then) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    form.parentElement.close();
    then();
  });
  form.querySelector('.close').addEventListener('click', () => form.parentElement.close());
}

// ---- Looking again and again

let session = null;
let timer = 0;
let failures = 0;
let isPolling = false;
let spokenOf = new Map();
let lastInput = 0;

// speak tells screen readers what changed, not every number of every second.
function speak(jobs) {
  const spoken = new Map(jobs.map((job) => [job.uuid, `${job.state} ${job.phase} ${Math.floor((10 * job.done) / (job.total || 1))}`]));
  const texts = jobs.filter((job) => spokenOf.get(job.uuid) !== spoken.get(job.uuid) && (spokenOf.size > 0 || !hasEnded(job)))
    .map((job) => `${KINDS[job.kind] ?? job.kind} of ${job.keyset}: ${job.state}, ${percent(job.done, job.total)}`);
  spokenOf = spoken;
  if (texts.length > 0) at('spoken').textContent = texts.join('. ');
}

async function look(mine) {
  const [{ keysets }, { jobs }] = await Promise.all([mine.get('/keysets'), mine.get(`/jobs?limit=${RECENT_JOBS}`)]);
  if (mine.isOver) return false;
  // Those of the keysets too: a job may run for longer than the newest 25 reach back.
  const all = new Map([...keysets.map(({ job }) => job).filter(Boolean), ...jobs].map((job) => [job.uuid, job]));
  const running = [...all.values()].filter((job) => !hasEnded(job));
  keysetCards.show(keysets);
  jobCards.show(running);
  const ended = jobs.filter(hasEnded);
  at('recent-rows').replaceChildren(...ended.map(recentRow));
  at('recent').hidden = ended.length === 0;
  at('recent-none').hidden = ended.length > 0;
  speak([...all.values()]);
  await Promise.all(keysetCards.all.map((card) => card.refresh()));
  return running.length > 0;
}

function showLink(text, className) {
  say(at('link'), text);
  at('link').className = `chip ${className}`;
}

// failed gives how long to wait, in ms.
function failed(error) {
  failures += 1;
  if (error instanceof ServiceError) {
    showLink(error.status === 0 ? 'Not reached' : 'Refused', 'bad');
    say(at('problem'), `${error}${error.status === 0 ? ' What is shown below may be old.' : ''}`);
    if (error.wait > 1) return error.wait * 1000;
  } else {
    showLink('Fault of this page', 'bad');
    say(at('problem'), 'This page has a fault: reload it.');
    console.error(error);
  }
  return Math.min(POLL_MS * 2 ** failures, MAX_WAIT_MS);
}

async function poll() {
  clearTimeout(timer);
  if (session === null || document.hidden || isPolling) return;
  if (Date.now() - lastInput > IDLE_MS) return signOut('Signed out after an hour without use.');
  const mine = session;
  let wait = POLL_MS;
  isPolling = true;
  try {
    const isBusy = await look(mine);
    if (mine.isOver) return;
    if (failures > 0) say(at('problem'), '');
    failures = 0;
    showLink('Live', 'good');
    wait = isBusy ? POLL_MS : 2 * POLL_MS;
  } catch (error) {
    if (mine.isOver) return;
    if (error.status === 401) return signOut(String(error));
    wait = failed(error);
  } finally {
    isPolling = false;
    if (mine.isOver) poll(); // for whoever has signed in meanwhile
  }
  timer = setTimeout(poll, wait);
}

// ---- Signing in and out

const REFUSED = {
  0: () => 'The service cannot be reached.',
  401: () => 'Name or password is wrong.',
  403: () => 'This account may not use the console.',
  429: ({ wait }) => `Too many tries. Try again in ${wait} s.`,
};

async function signIn() {
  const mine = new Session(at('name').value, at('password').value);
  at('password').value = '';
  at('sign-in').disabled = true;
  say(at('login-error'), '');
  try {
    mine.account = await mine.get('/account');
    mine.cluster = await mine.get('/cluster');
  } catch (error) {
    say(at('login-error'), (REFUSED[error.status] ?? String)(error));
    at('password').focus();
    return;
  } finally {
    at('sign-in').disabled = false;
  }
  session = mine;
  lastInput = Date.now();
  failures = 0;
  at('account').textContent = mine.account.name;
  at('role').textContent = mine.account.role;
  at('cluster').textContent = mine.cluster.name === 'rewrap' ? '' : mine.cluster.name;
  document.title = `${mine.cluster.name} · rewrap`;
  showLink('Connecting', '');
  at('login').hidden = true;
  at('console').hidden = false;
  poll();
}

// signOut forgets the password and everything that was shown with it.
function signOut(why) {
  session?.end();
  session = null;
  clearTimeout(timer);
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
  keysetCards.clear();
  jobCards.clear();
  at('recent-rows').replaceChildren();
  for (const id of ['problem', 'result', 'spoken', 'account', 'role', 'cluster']) at(id).textContent = '';
  for (const id of ['problem', 'result']) at(id).hidden = true;
  spokenOf = new Map();
  afterConfirm = rekeyCard = null;
  document.title = 'rewrap';
  at('login').hidden = false;
  at('console').hidden = true;
  say(at('login-error'), why);
  at('name').focus();
}

at('login-form').addEventListener('submit', (event) => {
  event.preventDefault();
  signIn();
});
at('sign-out').addEventListener('click', () => signOut(''));
onSubmit(at('rekey-form'), startRekey);
onSubmit(at('confirm-form'), () => afterConfirm());
document.addEventListener('visibilitychange', poll);
window.addEventListener('pagehide', () => signOut(''));
for (const event of ['keydown', 'pointerdown']) {
  document.addEventListener(event, () => { lastInput = Date.now(); });
}
at('name').focus();
