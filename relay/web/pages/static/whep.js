/**
 * One WHEP session: this browser receives a class's picture and voice (docs/protocol.md; the relay is ICE-lite).
 *
 * The relay keeps a viewer's session through the publisher's comings and goings, so a session is opened in the waiting
 * room already and media just starts to flow in it. Not here: trying again (`session.js`) and showing (`player.js`).
 */

import { Cushion } from "./cushion.js";
import { iceServers } from "./ice_servers.js";
import { LipSync } from "./lip_sync.js";
import { readPicture } from "./picture.js";

/** The relay answers from memory; this long only on a network that hardly works. */
const POST_TIMEOUT_MS = 5000;

/** ICE and DTLS with a reachable relay take four round trips. */
const CONNECT_TIMEOUT_MS = 5000;

/** No ICE servers but those that the relay names. @type {RTCConfiguration} */
const CONFIGURATION = { iceServers: [], bundlePolicy: "max-bundle" };

/** The relay (or a proxy before it) refused. `retryAfter_ms` is its own wish, or 0. */
export class WhepRefused extends Error {
  /**
   * @param {number} status
   * @param {number} retryAfter_ms
   */
  constructor(status, retryAfter_ms) {
    super(`WHEP: HTTP ${status}`);
    this.status = status;
    this.retryAfter_ms = retryAfter_ms;
  }
}

/** No connection in time: no network, or one that lets no UDP through. */
export class WhepUnreachable extends Error {}

export class WhepSession {
  #peer;
  #resource;
  #lipSync = new LipSync();
  #cushion = new Cushion();
  #requests = 0;

  /**
   * @param {RTCPeerConnection} peer
   * @param {string | null} resource  the session's address, for DELETE
   */
  constructor(peer, resource) {
    this.#peer = peer;
    this.#resource = resource;
    this.stream = new MediaStream(peer.getReceivers().map((receiver) => receiver.track));
  }

  /** @returns {RTCPeerConnectionState} */
  get connection() {
    return this.#peer.connectionState;
  }

  /** @param {() => void} listener called when `connection` changes */
  set onconnection(listener) {
    this.#peer.onconnectionstatechange = listener;
  }

  /**
   * What was received so far. Also keeps picture and voice in step, and in time for repairs, by the same statistics.
   * @returns {Promise<import("./watchdog.js").Totals>}
   */
  async totals() {
    /** @type {import("./watchdog.js").Totals} */
    const totals = { bytes: 0, videoBytes: 0, frames: 0 };
    /** @type {Record<string, number | undefined>} what is playing, on the publisher's clock */
    const playing_ms = {};
    let requests = 0;
    let roundTrip_ms = 0;
    for (const entry of (await this.#peer.getStats()).values()) {
      if (entry.type === "candidate-pair" && entry.nominated) {
        roundTrip_ms = 1000 * (entry.currentRoundTripTime ?? 0);
        totals.line_bps = entry.availableIncomingBitrate;
      }
      if (entry.type !== "inbound-rtp") continue;
      playing_ms[entry.kind] = entry.estimatedPlayoutTimestamp;
      totals.bytes += entry.bytesReceived ?? 0;
      if (entry.kind !== "video") continue;
      totals.videoBytes += entry.bytesReceived ?? 0;
      totals.frames += entry.framesDecoded ?? 0;
      requests += entry.nackCount ?? 0;
    }
    this.#cushion.observe(requests - this.#requests, roundTrip_ms);
    this.#requests = requests;
    this.#keepInStep(playing_ms["video"], playing_ms["audio"]);
    return totals;
  }

  /**
   * @param {number | undefined} picture_ms
   * @param {number | undefined} voice_ms
   */
  #keepInStep(picture_ms, voice_ms) {
    // Undefined: no sender report yet, or a browser without these.
    if (picture_ms !== undefined && voice_ms !== undefined) this.#lipSync.observe(picture_ms - voice_ms);
    for (const receiver of this.#peer.getReceivers()) {
      const own_ms = receiver.track.kind === "video" ? this.#lipSync.delay_ms : 0;
      receiver.jitterBufferTarget = Math.max(own_ms, this.#cushion.delay_ms);
    }
  }

  /**
   * How much of the picture the relay sends; with `chosen`, what it sends after that was asked for.
   * @param {import("./picture.js").Choice} [chosen]
   * @returns {Promise<import("./picture.js").ViewerPicture | null>} null: the relay does not say
   */
  async picture(chosen) {
    if (this.#resource === null) return null;
    const signal = AbortSignal.timeout(POST_TIMEOUT_MS);
    const headers = { "Content-Type": "application/json" };
    const asked = chosen === undefined ? {} : { method: "PUT", headers, body: JSON.stringify({ chosen }) };
    try {
      const response = await fetch(`${this.#resource}/picture`, { ...asked, signal });
      return response.ok ? readPicture(await response.json()) : null;
    } catch (error) {
      // No network, or no JSON: whoever asked asks again.
      if (error instanceof TypeError || error instanceof DOMException || error instanceof SyntaxError) return null;
      throw error;
    }
  }

  /** Leaves, also from a page that is going away. Frees the relay's side at once instead of after its timeout. */
  close() {
    this.#peer.onconnectionstatechange = null;
    this.#peer.close();
    if (this.#resource === null) return;
    // A relay that is gone has nothing left to free.
    fetch(this.#resource, { method: "DELETE", keepalive: true }).catch(() => undefined);
  }
}

/**
 * Opens a session and waits until it is connected.
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<WhepSession>} the caller closes it
 * @throws {WhepRefused | WhepUnreachable | TypeError | DOMException}
 */
export async function openWhep(url, signal) {
  const peer = new RTCPeerConnection(CONFIGURATION);
  /** @type {string | null} */
  let resource = null;
  try {
    // The offer leaves without our candidates: an ICE-lite relay learns our address from our first check. And gathering
    // begins with `setLocalDescription`, when the relay's TURN servers are known (RFC 9725 §4.6).
    const offered = await offer(peer);
    const answer = await post(url, offered.sdp ?? "", signal);
    resource = answer.resource;
    // An older Firefox cannot be told any more, and goes the straight way.
    if (answer.iceServers.length > 0) peer.setConfiguration?.({ ...CONFIGURATION, iceServers: answer.iceServers });
    await peer.setLocalDescription(offered);
    await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    await connected(peer, signal);
    return new WhepSession(peer, resource);
  } catch (error) {
    new WhepSession(peer, resource).close();
    throw error;
  }
}

/** @param {RTCPeerConnection} peer */
async function offer(peer) {
  for (const kind of ["audio", "video"]) {
    const { receiver } = peer.addTransceiver(kind, { direction: "recvonly" });
    playSoon(receiver);
  }
  return peer.createOffer();
}

/**
 * Asks for the smallest delay; `LipSync` then holds the picture back until the voice is there.
 * @param {RTCRtpReceiver & {playoutDelayHint?: number}} receiver
 */
function playSoon(receiver) {
  receiver.jitterBufferTarget = 0;
  receiver.playoutDelayHint = 0; // the same, in Chromium before 124
}

/**
 * @param {string} url
 * @param {string} sdp
 * @param {AbortSignal} signal
 */
async function post(url, sdp, signal) {
  const request = new AbortController();
  const abort = () => request.abort();
  const timer = setTimeout(abort, POST_TIMEOUT_MS);
  signal.addEventListener("abort", abort, { once: true });
  try {
    const headers = { "Content-Type": "application/sdp" };
    const response = await fetch(url, { method: "POST", headers, body: sdp, signal: request.signal });
    if (response.status !== 201) throw new WhepRefused(response.status, retryAfter_ms(response));
    const location = response.headers.get("Location");
    const resource = location === null ? null : new URL(location, response.url).href;
    return { sdp: await response.text(), resource, iceServers: iceServers(response.headers.get("Link")) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

/** @param {Response} response */
function retryAfter_ms(response) {
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  return Number.isFinite(seconds) ? 1000 * seconds : 0;
}

/**
 * @param {RTCPeerConnection} peer
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function connected(peer, signal) {
  return new Promise((resolve, reject) => {
    /** @param {() => void} finish */
    const settle = (finish) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", fail);
      peer.onconnectionstatechange = null;
      finish();
    };
    const fail = () => settle(() => reject(new WhepUnreachable(`connection ${peer.connectionState}`)));
    const look = () => {
      if (signal.aborted || ["failed", "closed"].includes(peer.connectionState)) fail();
      else if (peer.connectionState === "connected") settle(resolve);
    };
    const timer = setTimeout(fail, CONNECT_TIMEOUT_MS);
    signal.addEventListener("abort", fail);
    peer.onconnectionstatechange = look;
    look();
  });
}
