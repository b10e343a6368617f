// The one script of tidegate's pages. It makes them live: parts with data-live are fetched again, forms are sent without
// leaving the page, tables sort and filter, texts are copied, the colours are chosen. Without it the pages still read.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;

  const all = (what, below = document) => [...below.querySelectorAll(what)];

  function say(text, failed) {
    const toast = document.getElementById("toast");
    if (!toast) return;
    toast.classList.toggle("is-failed", Boolean(failed));
    toast.replaceChildren(...text.filter(Boolean).map((line) => Object.assign(document.createElement("p"), { textContent: line })));
    clearTimeout(say.timer);
    say.timer = setTimeout(() => toast.replaceChildren(), failed ? 15000 : 4000);
  }

  function theme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const next = (root.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try { localStorage.setItem("theme", next); } catch { /* it holds for this page then */ }
  }

  // Parts that change: the page itself is asked again, and its parts are put in place of ours. Whatever a person is
  // typing in, or has opened, stays.
  let busy = false;
  const last = new WeakMap(); // what the server said of a part, before anything was done to it here
  function chosen(part) {
    return {
      open: all("details", part).map((one) => one.open && one.querySelector("summary").textContent),
      sorts: all("table[data-sorts]", part).map(sortedBy),
    };
  }
  function chooseAgain(part, was) {
    all("details", part).forEach((one, at) => { if (was.open[at] && one.querySelector("summary").textContent === was.open[at]) one.open = true; });
    all("table[data-sorts]", part).forEach((table, at) => { sortable(table); if (was.sorts[at]) sort(table, ...was.sorts[at]); });
    all("input[data-filters]").forEach((input) => { if (input.value) filter(input); });
  }
  async function refresh() {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of all("[data-live]")) {
        const now = fresh.getElementById(part.id);
        if (!now) { continue; }
        if (last.get(part) === now.innerHTML || part.contains(document.activeElement) && part.querySelector("input:focus, textarea:focus, select:focus")) continue;
        const focus = part.contains(document.activeElement) ? document.activeElement.id : "";
        const was = chosen(part);
        last.set(part, now.innerHTML);
        const atEnd = all(".log", part).map((log) => log.scrollTop + log.clientHeight > log.scrollHeight - 8);
        part.replaceChildren(...now.childNodes);
        part.dataset.live = now.dataset.live || "";
        all(".log", part).forEach((log, at) => { if (atEnd[at] !== false) log.scrollTop = log.scrollHeight; });
        if (focus) document.getElementById(focus)?.focus();
        chooseAgain(part, was);
      }
    } catch { /* the server is away for a moment: the next look finds out */ } finally { busy = false; }
  }
  function beat() {
    const each = all("[data-live]").map((part) => Number(part.dataset.live)).filter((ms) => ms > 0);
    const wait = each.length ? Math.min(...each) : 5000;
    setTimeout(async () => { if (each.length) await refresh(); beat(); }, wait);
  }

  function sent(form, by) {
    const data = new FormData(form, by?.name ? by : undefined);
    const pairs = [...data].filter(([name, value]) => typeof value === "string" && !name.startsWith("_")
      && !(value === "" && form.querySelector(`[name="${CSS.escape(name)}"]`)?.hasAttribute("data-skip-empty")));
    if (!form.hasAttribute("data-json")) return [new URLSearchParams(pairs).toString(), "application/x-www-form-urlencoded"];
    const body = {};
    for (const [name, value] of pairs) {
      if (name.endsWith("[]")) (body[name.slice(0, -2)] ??= []).push(value);
      else body[name] = value === "true" ? true : value === "false" ? false : value;
    }
    return [JSON.stringify(body), "application/json"];
  }

  async function act(form, by) {
    const ask = by?.dataset.ask || form.dataset.ask;
    if (ask && !confirm(ask)) return;
    const named = form.querySelector("[data-path]");
    const path = named ? form.getAttribute("action").replace("{}", encodeURIComponent(named.value)) : form.getAttribute("action");
    const [body, type] = sent(form, by);
    const csrf = form.querySelector("[name=_csrf]")?.value || "";
    if (by) by.disabled = true;
    try {
      const answer = await fetch(path, { method: form.dataset.method || "POST", body, headers: { "content-type": type, accept: "application/json", "x-csrf-token": csrf } });
      const text = await answer.text();
      let read = {};
      try { read = JSON.parse(text); } catch { /* not JSON: the status says it */ }
      if (!answer.ok) return say([read.error?.message || `The server answered ${answer.status}.`, read.error?.hint], true);
      if (form.dataset.shows) { const out = document.getElementById(form.dataset.shows); out.hidden = false; out.querySelector("[data-value]").textContent = read[form.dataset.key]; out.querySelector("button")?.focus(); return; }
      if (form.dataset.goes) { location.href = form.dataset.goes.replace("{}", encodeURIComponent(named?.value || "")); return; }
      say([form.dataset.done || "Done."]);
      form.querySelectorAll("input[type=password]").forEach((input) => { input.value = ""; });
      await refresh();
    } catch { say(["The server does not answer.", "Is `tidegate serve` still running?"], true); } finally { if (by) by.disabled = false; }
  }

  function sortable(table) {
    all("thead th[data-sort]", table).forEach((head) => {
      if (head.querySelector("button")) return;
      const button = Object.assign(document.createElement("button"), { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, [...head.parentNode.children].indexOf(head), head.getAttribute("aria-sort") !== "ascending"));
    });
  }
  function sort(table, at, up) {
    const head = table.tHead.rows[0].children[at];
    all("th[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const of = (row) => row.children[at]?.dataset.value ?? row.children[at]?.textContent.trim() ?? "";
    const rows = all("tbody tr", table).sort((a, b) => of(a).localeCompare(of(b), undefined, { numeric: true }) * (up ? 1 : -1));
    table.tBodies[0].append(...rows);
  }
  function sortedBy(table) {
    const head = table.querySelector("th[aria-sort]");
    return head && [[...head.parentNode.children].indexOf(head), head.getAttribute("aria-sort") === "ascending"];
  }

  function filter(input) {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    all("tbody tr", document.getElementById(input.dataset.filters)).forEach((row) => { row.hidden = Boolean(wanted) && !row.textContent.toLowerCase().includes(wanted); shown += row.hidden ? 0 : 1; });
    const told = document.getElementById(`${input.dataset.filters}-shown`);
    if (told) told.textContent = wanted ? `${shown} shown` : "";
  }

  document.addEventListener("DOMContentLoaded", () => {
    all("[data-live]").forEach((part) => last.set(part, part.innerHTML));
    all("table[data-sorts]").forEach(sortable);
    all(".log").forEach((log) => { log.scrollTop = log.scrollHeight; });
    beat();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.hasAttribute("data-act")) return;
    event.preventDefault();
    act(form, event.submitter);
  });
  document.addEventListener("input", (event) => { if (event.target.dataset.filters) filter(event.target); });
  document.addEventListener("change", (event) => {
    if (event.target.hasAttribute("data-submits")) event.target.form.requestSubmit();
    if (event.target.dataset.reloads) { const form = event.target.form; form.querySelector("[name=step]").value = event.target.dataset.reloads; form.noValidate = true; form.requestSubmit(); }
  });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.hasAttribute("data-theme-switch")) theme();
    if (button.dataset.copies) {
      const text = document.getElementById(button.dataset.copies).textContent;
      try { await navigator.clipboard.writeText(text); say(["Copied."]); } catch { say(["The browser does not let us copy.", "Mark the text and copy it by hand."], true); }
    }
    if (button.dataset.opens) document.getElementById(button.dataset.opens).showModal();
    if (button.dataset.adds) {
      const model = document.getElementById(button.dataset.adds);
      const at = Number(button.dataset.next); button.dataset.next = at + 1;
      const made = model.content.cloneNode(true);
      all("[name]", made).forEach((one) => { one.name = one.name.replace("{}", at); if (one.id) one.id = one.id.replace("{}", at); });
      all("label[for]", made).forEach((one) => { one.htmlFor = one.htmlFor.replace("{}", at); });
      const last = button.closest("form").querySelector("[data-rows]"); last.append(made); last.lastElementChild.querySelector("select, input").focus();
    }
    if (button.hasAttribute("data-removes")) { const row = button.closest(".map-row"); const next = row.nextElementSibling || row.previousElementSibling; row.remove(); next?.querySelector("select, input")?.focus(); }
  });
})();
