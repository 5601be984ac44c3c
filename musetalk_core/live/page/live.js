// One page, no framework: a WebRTC connection that carries sound there, picture and sound back, and a data channel.
const at = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const LOUD = 0.01; // of full scale; what counts as speech when delays are measured
const QUIET = 700; // ms without it before speech counts as beginning

let connection, channel, sender; // of the running connection
let context, microphone, source; // WebAudio, the open microphone, the sound file that plays
const pings = new Map();

const tell = (text) => { at("state").textContent = text; };
const send = (kind, words = {}) => channel?.readyState === "open" && channel.send(JSON.stringify({ kind, ...words }));

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

async function connect() {
  at("again").hidden = true;
  tell("Connecting …");
  try {
    const status = await ask("status");
    at("say").hidden = !status.voice;
    const own = new RTCPeerConnection();
    connection = own;
    sender = own.addTransceiver("audio", { direction: "sendrecv" }).sender;
    own.addTransceiver("video", { direction: "recvonly" });
    channel = own.createDataChannel("control");
    channel.onmessage = (event) => hear(JSON.parse(event.data));
    own.ontrack = ({ receiver, streams }) => {
      receiver.jitterBufferTarget = 0; // as soon as can be
      at("avatar").srcObject = streams[0];
    };
    own.onconnectionstatechange = () => {
      if (own !== connection) return;
      if (own.connectionState === "connected") tell("");
      if (own.connectionState === "failed" || own.connectionState === "closed") lost("The connection was lost.");
    };
    channel.onclose = () => own === connection && lost("The server has closed the connection.");
    await own.setLocalDescription(await own.createOffer());
    await gathered(own);
    const offer = { type: "offer", sdp: own.localDescription.sdp };
    const json = { "Content-Type": "application/json" };
    await own.setRemoteDescription(await ask("offer", { method: "POST", headers: json, body: JSON.stringify(offer) }));
  } catch (error) {
    lost(error instanceof TypeError ? "The server cannot be reached." : error.message);
  }
}

function gathered(own) {
  return new Promise((done) => {
    const check = () => own.iceGatheringState === "complete" && done();
    own.onicegatheringstatechange = check;
    setTimeout(done, 3000);
    check();
  });
}

function lost(text) {
  stopFile();
  closeMicrophone();
  const own = connection;
  connection = channel = sender = undefined;
  own?.close();
  tell(text);
  at("again").hidden = false;
}

function hear(message) {
  if (message.kind === "pong") {
    at("trip").textContent = `${Math.round(performance.now() - (pings.get(message.id) ?? performance.now()))} ms`;
    pings.delete(message.id);
  } else if (message.kind === "error") {
    tell(message.what);
    setTimeout(() => connection && tell(""), 6000);
  } else if (message.kind === "readouts") {
    at("delay").textContent = message.delay === null ? "–" : `${message.delay} ms`;
    at("frames").textContent = `${message.shown} / ${message.late} / ${message.dropped}`;
    at("sessions").textContent = `${message.sessions} of ${message.max_sessions}`;
  }
}

// What it says: a microphone, or a sound file.

async function ready() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  await context.resume();
  listen(true);
}

async function speak(track) {
  await sender?.replaceTrack(track);
  measure(track, "here");
}

async function openMicrophone() {
  if (!navigator.mediaDevices) throw new Error("Browsers open microphones on https or this machine only; a file does.");
  await ready();
  microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  stopFile();
  at("microphone").ariaPressed = "true";
  await speak(microphone.getAudioTracks()[0]);
}

function closeMicrophone() {
  microphone?.getTracks().forEach((track) => track.stop());
  microphone = undefined;
  at("microphone").ariaPressed = "false";
}

async function playFile(bytes) {
  await ready();
  const sound = await context.decodeAudioData(bytes).catch(() => { throw new Error("This file holds no sound."); });
  closeMicrophone();
  stopFile();
  const outlet = context.createMediaStreamDestination();
  source = context.createBufferSource();
  source.buffer = sound;
  source.connect(outlet);
  await speak(outlet.stream.getAudioTracks()[0]);
  source.start(context.currentTime + 0.2);
}

function stopFile() {
  source?.stop();
  source = undefined;
}

function listen(on) {
  at("avatar").muted = !on;
  at("sound").ariaPressed = String(on);
  if (on) measure(at("avatar").srcObject?.getAudioTracks()[0], "there");
}

// From the first sound that goes out to the first that comes back.

const meters = {};

function measure(track, side) {
  if (!context || !track || meters[side]?.track === track) return;
  meters[side]?.node.disconnect();
  const node = context.createMediaStreamSource(new MediaStream([track]));
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  node.connect(analyser);
  meters[side] = { track, node, analyser, values: new Float32Array(1024), loud: -Infinity, began: 0 };
}

setInterval(() => {
  const now = performance.now();
  for (const meter of Object.values(meters)) {
    meter.analyser.getFloatTimeDomainData(meter.values);
    if (!meter.values.some((value) => Math.abs(value) > LOUD)) continue;
    if (now - meter.loud > QUIET) {
      meter.began = now;
      const wait = now - (meters.here?.began ?? 0);
      if (meter === meters.there && wait < 3000) at("heard").textContent = `${Math.round(wait)} ms`;
    }
    meter.loud = now;
  }
}, 10);

setInterval(async () => {
  if (!connection) return;
  const id = Math.round(performance.now());
  pings.set(id, performance.now());
  send("ping", { id });
  for (const stat of (await connection.getStats()).values()) {
    if (stat.type === "inbound-rtp" && stat.kind === "video") at("rate").textContent = stat.framesPerSecond ?? "–";
  }
}, 1000);

const doing = (work) => async (event) => {
  event.preventDefault?.();
  try {
    await work(event);
  } catch (error) {
    tell(error.name === "NotAllowedError" ? "The microphone was not allowed." : error.message);
  }
};

function interrupt() {
  stopFile();
  send("interrupt");
}

at("microphone").onclick = doing(() => (microphone ? closeMicrophone() : openMicrophone()));
at("sample").onclick = doing(async () => playFile(await (await fetch("sample.wav")).arrayBuffer()));
at("file").onchange = doing(async ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) await playFile(await file.arrayBuffer());
});
at("say").onsubmit = doing(async () => {
  await ready();
  send("text", { text: at("text").value });
  at("text").value = "";
});
at("interrupt").onclick = interrupt;
at("sound").onclick = doing(async () => {
  await ready();
  listen(at("sound").ariaPressed !== "true");
});
at("again").onclick = connect;
document.addEventListener("keydown", (event) => event.key === "Escape" && interrupt());
addEventListener("pagehide", () => connection?.close());
await connect();
