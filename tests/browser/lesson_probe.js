/**
 * Reads the simulated classroom's time code from the pixels that the pupil's page shows, and notes what it saw.
 * Injected into the page by tests and benches (Playwright's init script); no part of the page itself.
 *
 * The code's layout is that of `appliance/capture/simulated/timecode.py`.
 */
globalThis.lessonProbe = (() => {
  const CELLS = 64;
  const SYNC = [1, 0, 1, 0, 1, 1, 0, 0];
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  /** @type {{at_unix_ms: number, shown_ms: number, capture_us: number | null, width: number, height: number}[]} */
  const frames = [];

  /** CRC-16/CCITT-FALSE. @param {number[]} bytes */
  function crc16(bytes) {
    let crc = 0xffff;
    for (const byte of bytes) {
      crc ^= byte << 8;
      for (let i = 0; i < 8; i += 1) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
    }
    return crc;
  }

  /** The capture time (µs on the lesson clock) in the picture, or null. @param {HTMLVideoElement} video */
  function read(video) {
    const cell = Math.floor(video.videoWidth / CELLS);
    if (cell < 2) return null;
    const height = Math.max(8, cell + (cell % 2));
    const width = cell * CELLS;
    canvas.width = width;
    canvas.height = height;
    context.drawImage(video, 0, video.videoHeight - height, width, height, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height).data;
    const bits = [];
    for (let i = 0; i < CELLS; i += 1) {
      let sum = 0;
      let count = 0;
      for (let y = Math.floor(height / 4); y < Math.ceil((height * 3) / 4); y += 1) {
        for (let x = Math.floor(cell / 4); x < Math.ceil((cell * 3) / 4); x += 1) {
          sum += pixels[4 * (y * width + i * cell + x) + 1];
          count += 1;
        }
      }
      bits.push(sum / count > 125 ? 1 : 0);
    }
    if (SYNC.some((bit, i) => bits[i] !== bit)) return null;
    const bytes = [];
    for (let i = 8; i < CELLS; i += 8) bytes.push(Number.parseInt(bits.slice(i, i + 8).join(""), 2));
    const [high, low] = bytes.slice(5);
    if (crc16(bytes.slice(0, 5)) !== high * 256 + low) return null;
    return bytes.slice(0, 5).reduce((sum, byte) => sum * 256 + byte, 0);
  }

  /** @param {HTMLVideoElement} video */
  function follow(video) {
    const note = (/** @type {number} */ now, /** @type {VideoFrameCallbackMetadata} */ metadata) => {
      frames.push({
        at_unix_ms: performance.timeOrigin + now,
        shown_ms: metadata.expectedDisplayTime,
        capture_us: read(video),
        width: metadata.width,
        height: metadata.height,
      });
      if (frames.length > 4000) frames.splice(0, 1000);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  }

  const watched = new WeakSet();
  function look() {
    for (const video of document.querySelectorAll("video")) {
      if (!watched.has(video)) {
        watched.add(video);
        follow(video);
      }
    }
  }
  document.addEventListener("DOMContentLoaded", () => {
    look();
    new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
  });

  /** @type {RTCPeerConnection[]} */
  const peers = [];
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(/** @type {RTCConfiguration} */ configuration) {
      super(configuration);
      peers.push(this);
    }
  };

  /** One kind's inbound statistics of the page's newest connection that has any. @param {"audio" | "video"} kind */
  async function inbound(kind) {
    for (const peer of peers.filter((one) => one.connectionState === "connected").reverse()) {
      for (const stat of (await peer.getStats()).values()) {
        if (stat.type === "inbound-rtp" && stat.kind === kind) return stat;
      }
    }
    return null;
  }

  async function voiceEnergy() {
    return (await inbound("audio"))?.totalAudioEnergy ?? 0;
  }

  /** How many connections the page has opened so far. */
  const sessions = () => peers.length;

  /** Our end of the way that the page's newest connection uses: an ICE candidate's statistics, or null. */
  async function way() {
    for (const peer of peers.filter((one) => one.connectionState === "connected").reverse()) {
      const stats = await peer.getStats();
      for (const stat of stats.values()) {
        if (stat.type !== "transport") continue;
        const pair = stats.get(stat.selectedCandidatePairId);
        return (pair && stats.get(pair.localCandidateId)) ?? null;
      }
    }
    return null;
  }

  return { frames, inbound, read, sessions, voiceEnergy, way };
})();
