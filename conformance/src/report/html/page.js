"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const runs = new Map(data.runs.map((run) => [run.id, run]));
  const main = document.querySelector("main");
  // All text goes in as text: what a program printed is never read as HTML.
  const el = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== undefined && child !== null));
    return node;
  };
  const svg = (name, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const state = (run) => run.known ? (run.verdict === "pass" ? "unexpected" : run.verdict === "configuration-error" ? run.verdict : "known") : run.verdict;
  const words = { unexpected: "unexpected pass", known: "known to fail" };
  const tag = (word) => el("span", { class: "tag v-" + word }, words[word] || word);
  const rank = ["not-applicable", "not-implemented", "pass", "known", "warn", "inconclusive", "unexpected", "fail", "configuration-error"];
  const worst = (list) => list.sort((a, b) => rank.indexOf(b) - rank.indexOf(a))[0];
  // What a run says about one requirement: its checks, or the run itself where none looked at it.
  const about = (run, id) => {
    const checks = run.checks.filter((check) => check.requirement === id);
    const failed = checks.find((check) => check.verdict === "fail");
    if (failed) return run.known ? "known" : failed.severity === "MUST" ? "fail" : "warn";
    if (checks.some((check) => check.verdict === "pass")) return "pass";
    return state(run);
  };
  const sign = { pass: "✓", fail: "✗", warn: "!", known: "k", unexpected: "✓!", inconclusive: "?", "configuration-error": "⚙", "not-applicable": "–", "not-implemented": "–" };
  const colour = { known: "not-applicable", unexpected: "fail", inconclusive: "warn", "configuration-error": "warn", "not-implemented": "not-applicable" };
  const cell = (list, id) => {
    if (!list || !list.length) return el("td", { class: "cell" });
    const word = worst(list.map((run) => about(run, id)));
    const passed = list.filter((run) => about(run, id) === "pass").length;
    const label = list.length > 1 ? `${sign[word]} ${passed}/${list.length}` : sign[word];
    const open = () => { location.hash = "run=" + encodeURIComponent((list.find((run) => about(run, id) === word) || list[0]).id); };
    return el("td", { class: "cell" }, el("button", { class: "v-" + (colour[word] || word), title: `${words[word] || word}: ${list.map((run) => run.id).join(", ")}`, onclick: open }, label));
  };
  const profiles = [...new Set(data.runs.map((run) => run.profile))];
  const group = (list, key) => {
    const map = new Map();
    for (const item of list) { const k = key(item); if (!map.has(k)) map.set(k, []); map.get(k).push(item); }
    return map;
  };

  const views = {
    findings: document.getElementById("findings"),
    matrix: el("section", { id: "matrix", role: "tabpanel", "aria-label": "Matrix", hidden: true }),
    runs: el("section", { id: "runs", role: "tabpanel", "aria-label": "Runs", hidden: true }),
    run: el("section", { id: "run", hidden: true }),
  };
  main.append(views.matrix, views.runs, views.run);

  // Requirements against devices; a row opens into its scenarios.
  const drawMatrix = () => {
    const claims = new Map(data.requirements.map((row) => [row.id, []]));
    for (const run of data.runs) for (const id of run.requirements) if (claims.has(id)) claims.get(id).push(run);
    const body = el("tbody");
    const head = el("tr", {}, el("th", {}, "requirement"), el("th", {}, "level"), el("th", {}, "who"), el("th", {}, ""), ...profiles.map((name) => el("th", {}, name)));
    const draw = (filter) => {
      body.textContent = "";
      for (const row of data.requirements) {
        const list = claims.get(row.id);
        if (filter && !(row.id + " " + row.text + " " + row.who + " " + row.verdict).toLowerCase().includes(filter)) continue;
        const byProfile = group(list, (run) => run.profile);
        let subs = [];
        const button = el("button", { class: "open mono", "aria-expanded": "false", title: row.text, onclick: () => {
          const open = button.getAttribute("aria-expanded") === "true";
          button.setAttribute("aria-expanded", String(!open));
          if (open) { subs.forEach((sub) => sub.remove()); subs = []; return; }
          subs = [el("tr", { class: "sub" }, el("td", { colspan: 4 + profiles.length }, row.text, el("span", { class: "dim" }, ` (${row.grade}; ${row.source})`)))];
          for (const [scenario, members] of group(list, (run) => run.scenario)) {
            const own = group(members, (run) => run.profile);
            subs.push(el("tr", { class: "sub" }, el("td", { colspan: 4 }, scenario, el("span", { class: "dim" }, " " + members[0].title)), ...profiles.map((name) => cell(own.get(name), row.id))));
          }
          tr.after(...subs);
        } }, row.id);
        const tr = el("tr", {}, el("td", {}, button), el("td", {}, row.level), el("td", {}, row.who), el("td", { class: "v-" + row.verdict }, row.verdict), ...profiles.map((name) => cell(byProfile.get(name), row.id)));
        body.append(tr);
      }
    };
    const search = el("input", { type: "search", placeholder: "Filter requirements", "aria-label": "Filter requirements", oninput: () => draw(search.value.toLowerCase()) });
    views.matrix.append(search, el("p", { class: "dim legend" }, el("span", {}, "✓ passes"), el("span", {}, "✗ fails"), el("span", {}, "! warns"), el("span", {}, "k known to fail"), el("span", {}, "? inconclusive"), el("span", {}, "– does not apply"), el("span", {}, "2/3: passed of all scenarios")), el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), body)));
    draw("");
  };

  const drawRuns = () => {
    const body = el("tbody");
    const MOST = 300;
    const draw = (filter, all) => {
      body.textContent = "";
      const chosen = data.runs.filter((run) => !filter || (run.id + " " + run.title + " " + state(run) + " " + run.requirements.join(" ")).toLowerCase().includes(filter));
      for (const run of all ? chosen : chosen.slice(0, MOST)) {
        body.append(el("tr", {}, el("td", {}, tag(state(run))), el("td", {}, el("a", { href: "#run=" + encodeURIComponent(run.id) }, run.scenario)), el("td", {}, run.profile), el("td", {}, run.title), el("td", { class: "mono dim" }, time(run.ms * 1000))));
      }
      if (!all && chosen.length > MOST) body.append(el("tr", {}, el("td", { colspan: 5 }, el("button", { onclick: () => draw(filter, true) }, `Show all ${chosen.length}`))));
    };
    const search = el("input", { type: "search", placeholder: "Filter runs", "aria-label": "Filter runs", oninput: () => draw(search.value.toLowerCase(), false) });
    views.runs.append(search, el("table", {}, el("thead", {}, el("tr", {}, ...["", "scenario", "device", "title", "device time"].map((name) => el("th", {}, name)))), body));
    draw("", false);
  };

  const time = (us) => us < 1000 ? `${us} µs` : us < 1e6 ? `${(us / 1e3).toFixed(1)} ms` : us < 6e7 ? `${(us / 1e6).toFixed(3)} s` : `${Math.floor(us / 6e7)} min ${(us % 6e7 / 1e6).toFixed(1)} s`;
  const wall = (ms) => new Date(ms).toISOString().slice(11, 23);

  // Lifelines: host program, MEI, TLS, WS-MAN, Hello, LAN peer.
  const LANE = { mei: 1, tls: 2, wsman: 3, lan: 4, device: 2 };
  const ends = (lane, way) => {
    const at = LANE[lane];
    return { "from-host": [0, at], "to-host": [at, 0], "from-lan": [5, at], "to-lan": [at, 5], note: [at, at] }[way];
  };
  const x = (column) => (column + 0.5) / 6 * 100;
  const arrow = (from, to) => {
    const picture = svg("svg", { "aria-hidden": "true" });
    const a = x(from) + "%", b = x(to) + "%";
    picture.append(svg("line", { x1: a, x2: b, y1: 25, y2: 25 }));
    const tip = svg("svg", { x: b, y: 25, overflow: "visible" });
    tip.append(svg("path", { d: to > from ? "M0 0 L-9 -4 L-9 4 Z" : "M0 0 L9 -4 L9 4 Z" }));
    picture.append(tip);
    return picture;
  };

  // `here` is the entry where things went apart; `open` is one that a link asks for.
  const drawSequence = (run, here, open) => {
    const sequence = run.seq;
    if (!sequence) return el("p", { class: "dim" }, "Nothing was recorded of it.");
    const box = el("div", { class: "seq" });
    const lane = (name, side) => el("span", {}, name, el("small", {}, side));
    box.append(el("div", { class: "row head" }, el("span", { class: "time" }, "device time"), el("span", { class: "time wall" }, sequence.real ? "wall time (UTC)" : "device's clock"), el("div", { class: "lanes" }, lane("Host program", "host"), lane("MEI", "device"), lane("TLS", "device"), lane("WS-Man", "device"), lane("Hello", "device"), lane("SCA, console", "network"))));
    let rest = sequence.arrows;
    let target = null;
    const more = el("button", { onclick: () => draw(1000) }, "Show more");
    const draw = (count) => {
      more.remove();
      for (const [seq, us, laneName, way, label, bad, wire] of rest.slice(0, count)) {
        const name = data.labels[label];
        const [from, to] = ends(data.lanes[laneName], data.ways[way]);
        const note = from === to;
        const left = note ? 2 : Math.min(x(from), x(to));
        const width = note ? 96 : Math.max(Math.abs(x(to) - x(from)), 30);
        const title = el("span", { class: "label", style: `left:${left}%;width:${Math.max(width, 97 - left)}%` }, el("i", {}, name));
        const lanes = el("div", { class: "lanes" });
        if (!note) lanes.append(arrow(from, to));
        lanes.append(title);
        let pane = null;
        const row = el("button", { class: "row" + (bad ? " bad" : "") + (note ? " note" : "") + (wire ? " more" : "") + (here === seq ? " here" : ""), "aria-expanded": wire ? "false" : null, title: `journal entry ${seq}: ${name}`, onclick: () => {
          if (!wire) return;
          if (pane) { pane.remove(); pane = null; } else { pane = el("div", { class: "wire" }, el("pre", {}, wire)); row.after(pane); }
          row.setAttribute("aria-expanded", String(!!pane));
        } }, el("span", { class: "time" }, time(us)), el("span", { class: "time wall" }, wall(sequence.start + us / 1000)), lanes);
        box.append(row);
        if (open === seq && wire) { row.click(); target = row; }
      }
      rest = rest.slice(count);
      if (rest.length) box.append(more);
    };
    draw(Math.max(500, rest.findIndex((arrow) => arrow[0] === open) + 100));
    if (target) setTimeout(() => { target.scrollIntoView({ block: "center" }); target.focus({ preventScroll: true }); });
    if (sequence.left_out) box.append(el("p", { class: "dim" }, `${sequence.left_out} more are not in this report.`));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowDown: "next", ArrowUp: "previous" }[event.key];
      if (!step) return;
      let row = document.activeElement;
      do row = row && row[step + "ElementSibling"]; while (row && !row.matches("button"));
      if (row) { row.focus(); event.preventDefault(); }
    });
    return box;
  };

  const list = (pairs) => el("dl", {}, ...pairs.filter(([, value]) => value !== undefined && value !== null && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const drawRun = (run, entry) => {
    const view = views.run;
    view.textContent = "";
    view.append(el("p", {}, el("a", { href: "#runs" }, "← all runs")), el("h2", { tabindex: "-1" }, run.title + " ", tag(state(run))));
    view.append(list([["run", el("span", { class: "mono" }, run.id)], ["file", el("span", { class: "mono" }, run.file)], ["reason", run.reason], ["known to fail", run.known], ["rests on assumptions", run.assumptions.join(", ")], ["device", `${run.profile}, ${run.mode || "?"}, seed ${run.seed}`], ["device time", time(run.ms * 1000)], ["again", el("code", {}, `conformance run --filter ${run.scenario} --profile ${run.profile} --seed ${run.seed}${data.again}`)]]));
    const failed = run.checks.filter((check) => check.verdict === "fail");
    for (const check of failed) {
      const where = check.journal !== undefined ? el("a", { href: `#run=${encodeURIComponent(run.id)}&entry=${check.journal}` }, `journal entry ${check.journal}`) : undefined;
      view.append(el("article", { class: "finding" + (check.severity === "MUST" ? "" : " warn") }, el("b", {}, `${check.severity} ${check.requirement}`), list([["about", check.about], ["expected", check.expected], ["actual", check.actual], ["blame", check.blame && check.blame + (check.note ? ": " + check.note : "")], ["earliest", where], ["rests on", (check.rests_on || []).join(", ")], ["line", `${run.file}:${check.line}`]]), check.around && check.around.length ? el("pre", {}, check.around.join("\n")) : null));
    }
    if (run.checks.length) {
      view.append(el("details", { open: !failed.length && run.checks.length < 12 }, el("summary", {}, `${run.checks.length} checks`), el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, ...run.checks.map((check) => el("tr", {}, el("td", {}, tag(check.verdict)), el("td", { class: "mono" }, check.requirement), el("td", {}, check.about), el("td", {}, check.expected || ""), el("td", {}, check.actual || ""))))))));
    }
    if (run.remarks.length) view.append(el("h3", {}, "What it said"), el("pre", {}, run.remarks.join("\n")));
    for (const process of run.processes) {
      view.append(el("h3", { class: "mono" }, process.command.join(" ")), el("p", { class: "dim" }, `${process.ended}, ${process.duration_ms} ms` + (process.left_behind.length ? `; left behind: ${process.left_behind.join("; ")}` : "")));
      for (const name of ["stdout", "stderr"]) if (process[name]) view.append(el("details", {}, el("summary", {}, name), el("pre", {}, process[name])));
    }
    view.append(el("h3", {}, "What went where"));
    if (run.seq && !run.seq.real) view.append(el("p", { class: "dim" }, "In virtual time the wall's clock stands still: the second column is the clock of the device."));
    if (run.seq && !run.seq.arrows.some((arrow) => arrow[6])) view.append(el("p", { class: "dim" }, "Of runs that passed only the names of messages are kept; --evidence all keeps what they said."));
    const first = failed.find((check) => check.journal !== undefined);
    view.append(drawSequence(run, first && first.journal, entry));
  };

  const drawn = new Set();
  const tabs = el("nav", { role: "tablist" });
  const names = { findings: "Findings", matrix: "Matrix", runs: `Runs (${data.runs.length})` };
  for (const [name, text] of Object.entries(names)) {
    tabs.append(el("button", { role: "tab", "data-view": name, onclick: () => { location.hash = name; }, onkeydown: (event) => {
      const next = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
      const other = next && event.target[next];
      if (other) { other.focus(); other.click(); }
    } }, text));
  }
  main.prepend(tabs);
  const show = () => {
    const hash = decodeURIComponent(location.hash.slice(1));
    const [id, entry] = hash.slice(4).split("&entry=");
    const run = hash.startsWith("run=") ? runs.get(id) : undefined;
    const name = run ? "run" : names[hash] ? hash : "findings";
    for (const [key, view] of Object.entries(views)) view.hidden = key !== name;
    for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.dataset.view === (run ? "runs" : name)));
    if (run) { drawRun(run, entry === undefined ? undefined : Number(entry)); scrollTo(0, 0); views.run.querySelector("h2").focus(); }
    else if (!drawn.has(name)) { drawn.add(name); ({ matrix: drawMatrix, runs: drawRuns }[name] || (() => {}))(); }
  };
  addEventListener("hashchange", show);
  addEventListener("keydown", (event) => { if (event.key === "Escape" && !views.run.hidden) history.back(); });
  show();
})();
