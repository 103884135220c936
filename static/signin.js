/* The password is asked for in place, and what lacked it is sent again: nothing that was typed is lost. */
"use strict";
(() => {
  const dialog = document.getElementById("signin");
  if (!dialog) return;
  const form = dialog.querySelector("form"), refusal = form.querySelector("[data-refusal]"), { password } = form.elements;
  let waiting = []; // what is sent once the password was right

  function ask(why, then) {
    if (then) waiting.push(then);
    if (dialog.open) return;
    for (const words of form.querySelectorAll("[data-why]")) words.hidden = words.dataset.why !== why;
    refusal.hidden = true;
    form.reset();
    dialog.showModal();
    password.focus();
  }
  dialog.addEventListener("close", () => { waiting = []; });

  function renew(token) {
    for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
    document.body.setAttribute("hx-headers", JSON.stringify({ "x-csrftoken": token }));
  }
  function refuse(words) {
    refusal.textContent = words;
    refusal.hidden = false;
    password.select();
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopPropagation(); // the page's own form is as unsaved as before
    const headers = { "X-In-Place": "1", ...JSON.parse(document.body.getAttribute("hx-headers")) };
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers });
      if (answer.status === 204) return go(answer.headers.get("X-CSRFToken"));
      refuse([422, 429].includes(answer.status) ? await answer.text() : `The server answered with an error (${answer.status}). Try again.`);
    } catch {
      refuse("The server cannot be reached. Try again.");
    }
  });
  function go(token) {
    const ready = waiting;
    renew(token);
    dialog.close();
    for (const send of ready) send(token);
  }

  // Parts of pages. What a page asks by itself, it asks again by itself; and it does not count as somebody being there.
  const byItself = (element) => element.getAttribute("hx-trigger")?.includes("every");
  document.addEventListener("htmx:configRequest", ({ detail }) => { if (byItself(detail.elt)) detail.headers["X-By-Itself"] = "1"; });
  document.addEventListener("htmx:responseError", ({ detail: { xhr, requestConfig: sent } }) => {
    if (xhr.status !== 401) return;
    const { verb, path, elt: source, target, formData: values } = sent;
    ask(xhr.getResponseHeader("X-Sign-In"), byItself(source) ? null : (token) => {
      if (values.has("csrfmiddlewaretoken")) values.set("csrfmiddlewaretoken", token);
      htmx.ajax(verb, path, { source, target, values });
    });
  });

  // Forms that are sent by themselves: whether they would be taken is asked first, while the page is still there.
  const sure = new WeakSet();
  document.addEventListener("submit", async (event) => {
    const { target, submitter } = event;
    if (target === form || target.method !== "post" || sure.delete(target) || target.closest("[hx-post], [hx-put], [hx-delete]")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const send = () => { sure.add(target); target.requestSubmit(submitter); };
    const to = new URL(submitter?.getAttribute("formaction") || target.getAttribute("action") || "", location).pathname;
    const answer = await fetch(`${form.dataset.signIn}?to=${encodeURIComponent(to)}`).catch(() => ({}));
    if (answer.status === 401) ask(answer.headers.get("X-Sign-In"), send);
    else send();
  }, { capture: true });
})();
