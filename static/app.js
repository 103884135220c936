/* What the pages gain from script; without it every control still works. No inline handlers anywhere (CSP script-src 'self'). */
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const on = (type, handler) => document.addEventListener(type, handler);
  const root = document.documentElement;
  for (const element of $$("[data-script]")) element.hidden = false;

  // Theme: the cookie lets the server render the right one at once; without it the system decides.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const themed = () => document.dispatchEvent(new Event("themechange"));
  system.addEventListener("change", themed);
  function toggleTheme() {
    root.dataset.theme = (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    themed();
  }

  function failed(text) {
    const box = $("#failure").content.firstElementChild.cloneNode(true);
    $("[data-text]", box).textContent = text;
    $("#toasts").replaceChildren(box);
  }

  // Choosing rows: one box for all rows of a form, and a count that says how many are chosen.
  const picks = (form) => $$("tbody .pick input:not(:disabled)", form);
  function count(form) {
    const boxes = picks(form), chosen = boxes.filter((box) => box.checked).length;
    for (const all of $$("[data-all]", form)) {
      all.checked = chosen > 0 && chosen === boxes.length;
      all.indeterminate = chosen > 0 && !all.checked;
    }
    for (const output of $$("[data-chosen]", form)) output.textContent = `${chosen} selected`;
  }
  // A table that fits its place does not scroll: its head sticks to the page and Tab passes the region by.
  function settle() {
    $$("form:has([data-chosen])").forEach(count);
    for (const region of $$(".scroll")) {
      const fits = region.firstElementChild.offsetWidth <= region.clientWidth;
      region.classList.toggle("fits", fits);
      region.tabIndex = fits ? -1 : 0;
    }
  }
  settle();
  addEventListener("resize", settle);
  on("change", ({ target }) => {
    const { form } = target;
    if (form && target.matches("[data-all]")) for (const box of picks(form)) box.checked = target.checked;
    if (form && target.matches("[data-submit]")) form.requestSubmit();
    if (form && target.closest(".pick")) count(form);
  });

  // Unsaved changes
  let dirty = false;
  on("input", ({ target }) => { dirty ||= Boolean(target.closest("form[data-unsaved]")); });
  on("submit", () => { dirty = false; });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });

  // Dialogs and the shell's buttons
  on("click", (event) => {
    const button = event.target.closest("[data-dialog], [data-close], [data-theme-toggle], [data-print], [data-reload]");
    if (!button) return;
    event.preventDefault();
    if (button.dataset.dialog) $(button.dataset.dialog).showModal();
    if ("close" in button.dataset) (button.closest("dialog")?.close(), button.closest("#toasts > *")?.remove());
    if ("themeToggle" in button.dataset) toggleTheme();
    if ("print" in button.dataset) print();
    if ("reload" in button.dataset) location.reload();
  });

  // htmx: a hidden page does not poll; of a sign-in that has ended signin.js knows more
  on("htmx:beforeRequest", (event) => {
    if (document.hidden && event.target.getAttribute("hx-trigger")?.includes("every")) event.preventDefault();
  });
  on("htmx:afterSwap", ({ detail: { target } }) => {
    if (target.id === "dialog" && !target.open) target.showModal();
    const news = $("[data-announce]", target);
    if (news && news.dataset.announce !== $("#live").textContent) $("#live").textContent = news.dataset.announce;
    settle();
  });
  on("htmx:sendError", () => failed("The server cannot be reached."));
  on("htmx:responseError", ({ detail: { xhr } }) => {
    if (xhr.status === 429 || xhr.status === 503) return failed("Busy: nothing was changed. Try again in a few seconds.");
    if (xhr.status !== 401) failed(`The server answered with an error (${xhr.status}, reference ${xhr.getResponseHeader("X-Correlation-ID")}).`);
  });

  // Who signed in again in another tab has another CSRF token; what was typed here can then still be sent.
  addEventListener("focus", () => {
    const token = document.cookie.match(/(?:^|; )(?:__Host-)?csrftoken=([^;]+)/)?.[1];
    if (!token) return;
    for (const field of $$("[name=csrfmiddlewaretoken]")) field.value = token;
    document.body.setAttribute("hx-headers", JSON.stringify({ "x-csrftoken": token }));
  });

  // Keyboard. Single keys can be switched off (WCAG 2.1.4) and never act while something is typed.
  const single = $("#single-keys");
  if (!single) return;
  single.checked = localStorage.getItem("single-keys") !== "off";
  single.addEventListener("change", () => localStorage.setItem("single-keys", single.checked ? "on" : "off"));
  const places = { d: "/", m: "/models/", p: "/portfolios/", r: "/rebalances/", o: "/orders/", a: "/audit/", i: "/import/" };
  const typing = "select, textarea, input:not([type=checkbox], [type=radio])";
  const first = "a, input:not(:disabled)";
  function move(step) {
    const rows = $$("main tbody tr").filter((row) => $(first, row));
    const at = rows.indexOf(document.activeElement.closest("tr"));
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
    if (next) $(first, next).focus();
  }
  let going = 0;
  const keys = {
    g: (pressed) => { going = pressed + 1200; },
    j: () => move(1),
    k: () => move(-1),
    x: () => $("tr:focus-within .pick input:not(:disabled)")?.click(),
    "/": () => $("main [type=search]")?.focus(),
    "?": () => $("#keys").showModal(),
  };
  on("keydown", (event) => {
    const { key, target, timeStamp } = event, modified = event.ctrlKey || event.metaKey, save = $("form[data-save]");
    let act;
    if (modified && key === "s" && save) act = () => save.requestSubmit();
    else if (modified || event.altKey || !single.checked || target.matches(typing) || $("dialog[open]")) return;
    else if (timeStamp < going) act = () => $(`.rail a[href="${places[key]}"]`)?.click();
    else act = keys[key] || (() => $(`main [data-key="${CSS.escape(key)}"]`)?.click());
    if (key.length > 1) return;
    if (modified || keys[key] || timeStamp < going) event.preventDefault();
    act(timeStamp); // when it was pressed: a busy page comes to it later
  });
})();
