// router.js - where we are stands behind the '#': #/messages?state=dropped, #/messages/01ARZ…

export function place() {
	const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
	const [view, id = ""] = path.split("/");

	return {
		path: view,
		id: decodeURIComponent(id),
		params: Object.fromEntries(new URLSearchParams(search)),
	};
}

export function address(view, id = "", params = {}) {
	const search = new URLSearchParams(
		Object.entries(params).filter(([, value]) => value),
	).toString();

	return `#/${view}${id ? "/" + encodeURIComponent(id) : ""}${search && "?" + search}`;
}

export function go(...where) {
	location.hash = address(...where);
}

// The same view with other parameters: no step back leads to each letter that was typed.
export function amend(view, params) {
	history.replaceState(null, "", address(view, "", params));
}
