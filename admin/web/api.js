// api.js - the relay's API as this page uses it: by session, errors as sentences

let session = null;
let onSignedOut = () => {};

export const me = () => session;
const ranks = { reader: 1, operator: 2, admin: 3 };
export const may = role => session !== null && ranks[session.role] >= ranks[role];
// A token that is limited to a scope sees no routes, rules, faults and no ledger across messages.
export const mayAll = () => session !== null && session.scope === "";

export class Problem extends Error {
	constructor(status, body) {
		super(
			body?.detail ||
				(status === 0 ? "The relay does not answer." : `The relay answered ${status}.`),
		);
		this.status = status;
		this.errors = body?.errors || [];
		this.body = body;
	}
}

export function whenSignedOut(call) {
	onSignedOut = call;
}

// {a: 1, b: ""} - "?a=1"
export function query(params) {
	const search = new URLSearchParams();

	for (const [name, value] of Object.entries(params || {}))
		if (value !== undefined && value !== null && value !== "") search.set(name, value);
	const text = search.toString();

	return text && "?" + text;
}

function headersOf(method, body, options) {
	const headers = { Accept: "application/json", ...options.headers };

	if (body !== undefined) headers["Content-Type"] = options.type || "application/json";
	if (method !== "GET" && session?.csrf) headers["X-CSRF-Token"] = session.csrf;
	return headers;
}

async function ask(method, path, body, options) {
	const raw = body === undefined || options.type ? body : JSON.stringify(body);

	try {
		return await fetch("api/v1" + path, {
			method,
			headers: headersOf(method, body, options),
			body: raw,
			signal: options.signal,
			credentials: "same-origin",
			redirect: "error",
		});
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Problem(0, null);
	}
}

async function bodyOf(response) {
	const type = response.headers.get("Content-Type") || "";

	if (response.status === 204 || !type.includes("json")) return null;
	return response.json();
}

// The response; throws a Problem unless it is one of 2xx.
export async function request(method, path, body, options = {}) {
	const response = await ask(method, path, body, options);

	if (response.ok) return response;
	if (response.status === 401 && session !== null) {
		session = null;
		onSignedOut();
	}
	throw new Problem(response.status, await bodyOf(response).catch(() => null));
}

async function call(method, path, body, options) {
	return bodyOf(await request(method, path, body, options));
}

export const get = (path, params, options) => call("GET", path + query(params), undefined, options);
export const post = (path, body = {}, options) => call("POST", path, body, options);
export const patch = (path, body, options) => call("PATCH", path, body, options);
export const remove = (path, options) => call("DELETE", path, undefined, options);

// --- the session ------------------------------------------------------------------------

// What was kept by the browser; null: nobody is logged in.
export async function resume() {
	try {
		session = await call("GET", "/session", undefined, {});
	} catch (error) {
		if (error.status !== 401) throw error;
		session = null;
	}
	return session;
}

export async function logIn(token) {
	await call("POST", "/session", { token }, {});
	if ((await resume()) === null)
		throw new Problem(401, {
			detail:
				"The token is right, but this browser did not keep the session: over plain HTTP browsers " +
				"do so for this machine's own name only (http://127.0.0.1 or http://localhost, and Safari " +
				"not even there). Use TLS (admin.tls_certificate, or a proxy) or a tunnel: " +
				"ssh -L 8025:127.0.0.1:8025 HOST",
		});
	return session;
}

export async function logOut() {
	try {
		await call("DELETE", "/session", undefined, {});
	} finally {
		session = null;
	}
}

// --- the same from a shell ----------------------------------------------------------------

const quote = text => "'" + text.replaceAll("'", "'\\''") + "'";

export function curl(method, path, body) {
	const base = new URL("api/v1" + path, document.baseURI).href;
	const parts = ['curl -sS -H "Authorization: Bearer $STAGEPOST_TOKEN"'];

	if (method !== "GET" && !(method === "POST" && body !== undefined)) parts.push("-X " + method);
	if (body !== undefined)
		parts.push("-H 'Content-Type: application/json'", "-d " + quote(JSON.stringify(body)));
	parts.push(quote(base));
	return parts.join(" ");
}
