// The scheduler's API, by the Connect protocol with JSON.

const service = "/tandem.v1.SchedulerService/";

// Refused is an answer other than the one asked for.
export class Refused extends Error {
  constructor({ code, message }) {
    super(message || code || "the scheduler did not answer");
    this.code = code;
    // Whoever shows the page asks who is looking at it, whichever view hears of it.
    if (code === "unauthenticated") document.dispatchEvent(new Event("unproven"));
  }
}

// call makes a call that has one answer.
export async function call(method, request, signal) {
  const res = await fetch(service + method, {
    method: "POST", headers: { "Content-Type": "application/json", "Connect-Protocol-Version": "1" },
    body: JSON.stringify(request), signal,
  });
  const body = await res.json().catch(() => ({ message: `${res.status} ${res.statusText}` }));
  if (!res.ok) throw new Refused(body);
  return body;
}

// stream yields the answers of a call that has many. Each comes in an envelope:
// one byte of flags, four of length, and as many of JSON; the last one has flag
// 2 and says how the stream ended.
export async function* stream(method, request, signal) {
  const message = new TextEncoder().encode(JSON.stringify(request));
  const envelope = new Uint8Array(5 + message.length);
  new DataView(envelope.buffer).setUint32(1, message.length);
  envelope.set(message, 5);
  const res = await fetch(service + method, {
    method: "POST", headers: { "Content-Type": "application/connect+json", "Connect-Protocol-Version": "1" },
    body: envelope, signal,
  });
  if (!res.ok) throw new Refused({ message: `${res.status} ${res.statusText}` });
  const reader = res.body.getReader();
  const text = new TextDecoder();
  let held = new Uint8Array(0);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Refused({ code: "unavailable", message: "the scheduler has gone" });
      if (held.length === 0) held = value;
      else {
        const both = new Uint8Array(held.length + value.length);
        both.set(held);
        both.set(value, held.length);
        held = both;
      }
      let at = 0;
      while (held.length - at >= 5) {
        const flags = held[at];
        const size = new DataView(held.buffer, held.byteOffset + at + 1, 4).getUint32(0);
        if (held.length - at - 5 < size) break;
        const answer = JSON.parse(text.decode(held.subarray(at + 5, at + 5 + size)));
        at += 5 + size;
        if (flags & 2) {
          if (answer.error) throw new Refused(answer.error);
          return;
        }
        yield answer;
      }
      held = held.subarray(at);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
