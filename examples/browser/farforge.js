// A client in plain JavaScript, written after doc/protocol.md and common/channel,
// with browser interfaces only. Decompression is the exception: agents send zstd,
// which browsers do not expose to pages yet.
//
//   const job = await connect({broker, need: {target: 'esp32c3'}});
//   const files = new Map([['main.c', bytes], …]);
//   const {result, artifacts} = await build(job, {project: 'hello', files, decompress});
//   job.close();

const labels = ['espctl', 'source', 'firmware'];
const maxMessage = 64 << 10;
const lowWater = 1 << 20;

// Refused carries the broker's problem document.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `status ${status}`);
    this.status = status;
    this.code = problem.code;
    this.hints = problem.hints ?? [];
  }
}

// connect requests a grant, sends an offer, and resolves once the channels to an
// agent are open. token is for brokers that require authentication.
export async function connect({broker, token, need = {}, signal}) {
  const pc = new RTCPeerConnection();
  try {
    const channels = Object.fromEntries(labels.map((l) => [l, new Channel(pc.createDataChannel(l), pc)]));
    const offer = await pc.createOffer();
    // The agent requires the certificate that the grant is bound to.
    const [, fingerprint] = /^a=fingerprint:sha-256 (\S+)/im.exec(offer.sdp);
    const granted = await post(`${broker}/grant/request`, 'application/json', token, JSON.stringify({
      peer_fingerprint: fingerprint, required_channels: labels, cpu_cores: 1, memory_mb: 256, timeout_secs: 120, ...need,
    }), signal);
    let {job_id: id, grant} = granted.body;
    pc.setConfiguration({iceServers: granted.body.ice_servers});
    await pc.setLocalDescription(offer);
    await gathered(pc);
    // This offer contains all candidates. Browsers declare "trickle" nevertheless,
    // and the agent would then answer before it has gathered all of its own.
    const sdp = pc.localDescription.sdp.replace(/^a=ice-options:.*\r\n/gm, '');
    const body = JSON.stringify({type: 'offer', sdp});
    let answer;
    while (!answer) {
      const got = await post(`${broker}/signaling/${id}/offer`, 'application/octet-stream', grant, body, signal);
      if (got.status === 200) {
        answer = got.body;
      } else { // 202: still waiting, with a fresh grant
        grant = got.body.grant;
        await new Promise((resolve) => setTimeout(resolve, got.retryAfter * 1000));
      }
    }
    // answer.agent is the agent's signature; the browser ignores unknown members.
    await pc.setRemoteDescription({type: answer.type, sdp: answer.sdp});
    await Promise.all(Object.values(channels).map((c) => c.opened));
    const began = Date.now();
    // confirm tells the broker how the job ended. It is sent once, and a failure to
    // send it is ignored.
    const confirm = async (outcome) => {
      const word = {agent: await fingerprintOf(answer.agent), outcome, duration_ms: Date.now() - began};
      await post(`${broker}/signaling/${id}/confirmation`, 'application/json', grant, JSON.stringify(word), AbortSignal.timeout(2000));
    };
    return {
      id, channels, agent: answer.agent, candidates: granted.body.candidates, close: () => pc.close(),
      confirm: (outcome) => confirm(outcome).catch(() => {}),
    };
  } catch (err) {
    pc.close();
    throw err;
  }
}

async function post(url, type, token, body, signal) {
  const headers = {'Content-Type': type};
  if (token) headers.Authorization = `Bearer ${token}`;
  const resp = await fetch(url, {method: 'POST', headers, body, signal, credentials: 'omit'});
  const got = resp.status === 204 ? null : JSON.parse(await resp.text());
  if (!resp.ok) throw new Refused(resp.status, got);
  return {status: resp.status, body: got, retryAfter: Number(resp.headers.get('Retry-After') ?? 1)};
}

function gathered(pc) {
  return new Promise((resolve) => {
    const look = () => pc.iceGatheringState === 'complete' && resolve();
    pc.addEventListener('icegatheringstatechange', look);
    look();
  });
}

// Channel is a data channel whose messages are read one after the other.
class Channel {
  #dc; #queue = []; #waiting; #end;

  constructor(dc, pc) {
    this.#dc = dc;
    dc.binaryType = 'arraybuffer';
    dc.bufferedAmountLowThreshold = lowWater;
    this.opened = new Promise((resolve, reject) => {
      dc.addEventListener('open', resolve, {once: true});
      const lost = () => {
        this.#end ??= new Error(`the channel ${dc.label} has ended`);
        reject(this.#end);
        this.#wake();
      };
      dc.addEventListener('close', lost);
      pc.addEventListener('connectionstatechange', () => pc.connectionState === 'failed' && lost());
    });
    this.opened.catch(() => {}); // connect awaits it too
    dc.addEventListener('message', ({data}) => {
      this.#queue.push(typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(data));
      this.#wake();
    });
  }

  #wake() {
    this.#waiting?.();
    this.#waiting = undefined;
  }

  // read resolves with the next message.
  async read() {
    while (!this.#queue.length) {
      if (this.#end) throw this.#end;
      await new Promise((resolve) => { this.#waiting = resolve; });
    }
    return this.#queue.shift();
  }

  // write sends text or bytes, and waits while too many bytes are buffered.
  async write(message) {
    while (this.#dc.bufferedAmount > lowWater) {
      await new Promise((resolve) => this.#dc.addEventListener('bufferedamountlow', resolve, {once: true}));
    }
    this.#dc.send(message);
  }

  async readJSON() { return JSON.parse(new TextDecoder().decode(await this.read())); }
  async writeJSON(value) { await this.write(JSON.stringify(value)); }
}

// build sends a project, passes every stage and line to onMessage, and resolves
// with the result and the artifacts, a Map from path to bytes. It sends the broker
// a confirmation however the job ends.
export async function build(job, options) {
  let outcome = 'lost';
  try {
    const done = await perform(job, options);
    outcome = done.result.outcome;
    return done;
  } catch (err) {
    if (err instanceof NotAsSaid) outcome = 'agent_fail';
    throw err;
  } finally {
    await job.confirm(outcome);
  }
}

// NotAsSaid reports artifacts that differ from the agent's result.
class NotAsSaid extends Error {}

async function perform(job, {project, recipe, files, decompress, onMessage = () => {}}) {
  const {espctl, source, firmware} = job.channels;
  await espctl.writeJSON({type: 'build', build: {project, recipe}});
  const sent = sendTree(source, files, decompress);
  const received = receiveTree(firmware, decompress);
  sent.catch(() => {}); // an agent that refuses the job reads no source
  received.catch(() => {}); // and sends no artifacts; the result has the reason
  for (;;) {
    const message = await espctl.readJSON();
    onMessage(message);
    if (message.type === 'result') {
      const {result} = message;
      return {result, artifacts: result.outcome === 'succeeded' ? await received : new Map()};
    }
  }
}

async function sendTree(channel, files, decompress) {
  const byHash = new Map();
  const manifest = {files: []};
  for (const [path, bytes] of files) {
    const sha256 = await digest(bytes);
    byHash.set(sha256, bytes);
    manifest.files.push({path, kind: 'file', size: bytes.length, sha256});
  }
  await writeObject(channel, 'manifest', encode(manifest));
  const need = decode(await readObject(channel, 'need', decompress));
  await writeObject(channel, 'contents', concat(need.map((hash) => byHash.get(hash))));
  return decode(await readObject(channel, 'received', decompress));
}

async function receiveTree(channel, decompress) {
  const manifest = decode(await readObject(channel, 'manifest', decompress));
  const wanted = new Map(manifest.files.filter((f) => f.sha256).map((f) => [f.sha256, f.size]));
  await writeObject(channel, 'need', encode([...wanted.keys()]));
  const contents = await readObject(channel, 'contents', decompress);
  const byHash = new Map();
  let at = 0;
  for (const [hash, size] of wanted) {
    const bytes = contents.subarray(at, at += size);
    if (await digest(bytes) !== hash) throw new NotAsSaid('an artifact is not what its hash says');
    byHash.set(hash, bytes);
  }
  await writeObject(channel, 'received', encode({Files: manifest.files.length, Bytes: contents.length}));
  return new Map(manifest.files.filter((f) => f.sha256).map((f) => [f.path, byHash.get(f.sha256)]));
}

// An object is a header 'H', data 'D' and an end 'E'; see common/channel.
async function writeObject(channel, kind, bytes) {
  await channel.write(frame('H', encode({kind, size: bytes.length, encoding: 'zstd'})));
  const packed = store(bytes);
  for (let at = 0; at < packed.length; at += maxMessage - 1) {
    await channel.write(frame('D', packed.subarray(at, at + maxMessage - 1)));
  }
  await channel.write(frame('E', new Uint8Array()));
}

async function readObject(channel, kind, decompress) {
  const first = await channel.read();
  const header = decode(first.subarray(1));
  if (first[0] !== 72 || header.kind !== kind) throw new Error(`the agent sent ${header.kind}, not ${kind}`);
  const parts = [];
  for (;;) {
    const message = await channel.read();
    if (message[0] === 69) break;
    parts.push(message.subarray(1));
  }
  const bytes = header.size ? decompress(concat(parts)) : new Uint8Array();
  if (bytes.length !== header.size) throw new Error(`the ${kind} has ${bytes.length} bytes, not ${header.size}`);
  return bytes;
}

// store makes a zstd frame (RFC 8878) of raw blocks: valid, and not compressed.
function store(bytes) {
  const block = 128 << 10;
  const head = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd, 0x80, 7 << 3, 0, 0, 0, 0]); // window 128 KiB, size in 4 bytes
  new DataView(head.buffer).setUint32(6, bytes.length, true);
  const parts = [head];
  let at = 0;
  do {
    const data = bytes.subarray(at, at + block);
    at += block;
    const n = data.length << 3 | (at >= bytes.length ? 1 : 0);
    parts.push(new Uint8Array([n & 255, n >> 8 & 255, n >> 16]), data);
  } while (at < bytes.length);
  return concat(parts);
}

function frame(letter, bytes) { return concat([new TextEncoder().encode(letter), bytes]); }
function encode(value) { return new TextEncoder().encode(JSON.stringify(value)); }
function decode(bytes) { return JSON.parse(new TextDecoder().decode(bytes)); }

function concat(parts) {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return all;
}

// fingerprintOf is that of the key in an agent's proof, as ssh writes it.
async function fingerprintOf(agent) {
  const key = Uint8Array.from(atob(agent.public_key.split(' ')[1]), (c) => c.charCodeAt(0));
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', key));
  return `SHA256:${btoa(String.fromCharCode(...sum)).replace(/=+$/, '')}`;
}

// Browsers offer digest only to https pages and on localhost.
async function digest(bytes) {
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...sum].map((b) => b.toString(16).padStart(2, '0')).join('');
}
