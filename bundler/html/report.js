/* SPDX-License-Identifier: MIT */
/*
 * The parts of the report that need a script: the code of a function, built
 * when it is opened, and the filter of the list. Texts only ever become text
 * nodes.
 */
"use strict";

(() => {
	/* Lines around a difference, and how many more make it worth hiding. */
	const CONTEXT = 4;
	const MIN_HIDDEN = 6;

	const element = (name, className, text) => {
		const made = document.createElement(name);
		if (className)
			made.className = className;
		if (text !== undefined)
			made.textContent = text;
		return made;
	};

	const hex = (number) => number.toString(16);

	/* ---- Code ------------------------------------------------------- */

	/*
	 * Rows: a pair of line numbers, of which one may be null, and its kind.
	 * What was removed stands beside what was added instead.
	 */
	const rowsOf = (runs) => {
		const rows = [];
		let o = 0, n = 0;
		for (let i = 0; i < runs.length; i++) {
			const [kind, count] = runs[i];
			if (kind === "=" || kind === "~") {
				for (let k = 0; k < count; k++)
					rows.push([kind, o++, n++]);
				continue;
			}
			const isPair = kind === "-" && i + 1 < runs.length &&
				       runs[i + 1][0] === "+";
			const removed = kind === "-" ? count : 0;
			const added = isPair ? runs[++i][1]
					     : kind === "+" ? count : 0;
			for (let k = 0; k < Math.max(removed, added); k++)
				rows.push(["~", k < removed ? o++ : null,
					   k < added ? n++ : null]);
		}
		return rows;
	};

	const cells = (row, side, line, text, name) => {
		const offset = element("td", `off ${name}`,
				       line ? `+${hex(line[0])}` : "");
		if (line)
			offset.title = `0x${hex(side.at + line[0])}`;
		row.append(offset);
		const code = element("td", `code ${name}`);
		if (line) {
			const [word, ...rest] = text.split(" ");
			code.append(element("span", "mnemonic", word));
			if (rest.length)
				code.append(" " + rest.join(" "));
		}
		row.append(code);
	};

	/* Whether a side has come to another line of the source. */
	const moves = (state, line) => {
		if (!line || line[1] < 0 || line[1] === state.place)
			return false;
		state.place = line[1];
		return true;
	};

	const placeCell = (side, line, isShown, name) => {
		const cell = element("td", `place ${name}`);
		cell.colSpan = 2;
		if (!isShown)
			return cell;
		const [place, text] = side.places[line[1]];
		cell.append(element("span", "where", place));
		if (text)
			cell.append(" ", element("span", "text", text));
		return cell;
	};

	const addRow = (body, data, state, [kind, o, n]) => {
		const oldLine = o === null ? null : data.old.lines[o];
		const newLine = n === null ? null : data.new.lines[n];
		const oldMoves = moves(state.old, oldLine);
		const newMoves = moves(state.new, newLine);
		if (oldMoves || newMoves) {
			const row = element("tr", oldMoves && newMoves ? "source both"
							  : "source");
			row.append(placeCell(data.old, oldLine, oldMoves, "old"),
				   placeCell(data.new, newLine, newMoves, "new"));
			body.append(row);
		}
		const row = element("tr", kind === "=" ? "same" : "differs");
		if (o === null)
			row.classList.add("added");
		if (n === null)
			row.classList.add("removed");
		cells(row, data.old, oldLine,
		      oldLine && (oldLine[2] || newLine[2]), "old");
		cells(row, data.new, newLine, newLine && newLine[2], "new");
		body.append(row);
	};

	/* A row that stands for others, until it is pressed. */
	const addHidden = (body, data, rows) => {
		const row = element("tr", "hidden");
		const cell = element("td");
		const button = element("button", "",
				       `Show ${rows.length} instructions ` +
				       "that are the same");
		cell.colSpan = 4;
		button.type = "button";
		button.addEventListener("click", () => {
			const part = document.createDocumentFragment();
			const state = {old: {}, new: {}};
			for (const hidden of rows)
				addRow(part, data, state, hidden);
			const first = part.firstElementChild;
			row.replaceWith(part);
			first.tabIndex = -1;
			first.focus();
		});
		cell.append(button);
		row.append(cell);
		body.append(row);
	};

	/* Rows near a difference are shown, long runs of others hidden. */
	const addRows = (body, data, rows) => {
		const isNear = new Uint8Array(rows.length);
		rows.forEach(([kind], i) => {
			if (kind !== "=")
				isNear.fill(1, Math.max(0, i - CONTEXT),
					    i + CONTEXT + 1);
		});
		const isOneSided = !data.old || !data.new;
		const state = {old: {}, new: {}};
		for (let i = 0; i < rows.length;) {
			let end = i;
			while (end < rows.length && !isNear[end])
				end++;
			if (!isOneSided && end - i >= MIN_HIDDEN) {
				addHidden(body, data, rows.slice(i, end));
				state.old = {};
				state.new = {};
				i = end;
			} else {
				addRow(body, data, state, rows[i++]);
			}
		}
	};

	const columns = () => {
		const group = element("colgroup");
		for (const name of ["off old", "old", "off new", "new"])
			group.append(element("col", name));
		return group;
	};

	const headOf = () => {
		const head = element("thead");
		const row = element("tr");
		for (const name of ["old", "new"]) {
			const cell = element("th", name,
					     name === "old" ? "Old" : "New");
			cell.colSpan = 2;
			cell.scope = "colgroup";
			row.append(cell);
		}
		head.append(row);
		return head;
	};

	const showCode = (details) => {
		const script = details.querySelector("script.code");
		if (!script)
			return;
		const data = JSON.parse(script.textContent);
		const rows = rowsOf(data.runs);
		const table = element("table", "code");
		const caption = element("caption", "",
					"Machine code, old and new");
		const body = element("tbody");
		table.append(caption, columns(), headOf(), body);
		if (!data.old)
			table.classList.add("only-new");
		if (!data.new)
			table.classList.add("only-old");
		addRows(body, data, rows);
		script.replaceWith(table);
		if (!rows.some(([kind]) => kind !== "="))
			table.before(element("p", "note",
				"The instructions are the same. What they " +
				"refer to, or read, is not."));
		if (data.cut)
			table.after(element("p", "note",
				"The rest of this function is left out."));
	};

	for (const details of document.querySelectorAll(".functions details")) {
		const show = () => {
			if (details.open)
				showCode(details);
		};
		details.addEventListener("toggle", show);
		show();
	}

	/* ---- Filter ----------------------------------------------------- */

	for (const form of document.querySelectorAll("form.filter")) {
		const text = form.querySelector("input");
		const kind = form.querySelector("select");
		const count = form.querySelector("output");
		const items = [...form.closest("section")
				.querySelectorAll(".functions > li")];
		const keys = items.map((item) =>
			item.querySelector("summary").textContent.toLowerCase());

		const apply = () => {
			const words = text.value.toLowerCase().split(/\s+/);
			let shown = 0;
			items.forEach((item, i) => {
				const fits = words.every((w) => keys[i].includes(w)) &&
					(!kind.value || item.dataset.kind === kind.value);
				item.hidden = !fits;
				shown += fits;
			});
			count.textContent = `${shown} of ${items.length}`;
		};

		form.hidden = false;
		form.addEventListener("submit", (event) => event.preventDefault());
		text.addEventListener("input", apply);
		kind.addEventListener("change", apply);
		apply();
	}

	/* ---- Links ------------------------------------------------------ */

	/* A link to a function opens it, also when the filter hides it. */
	const openTarget = () => {
		const target = document.getElementById(location.hash.slice(1));
		if (!(target instanceof HTMLDetailsElement))
			return;
		target.closest("li").hidden = false;
		target.open = true;
		showCode(target);
		target.scrollIntoView();
		target.querySelector("summary").focus({preventScroll: true});
	};

	addEventListener("hashchange", openTarget);
	openTarget();
	document.documentElement.dataset.script = "ready";
})();
