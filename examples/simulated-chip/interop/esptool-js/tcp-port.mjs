// A port with the part of the Web Serial API that esptool-js uses, over TCP to a
// simulated chip. Modem lines do nothing: TCP has none, and the simulated chip
// enters download mode by itself when a SYNC arrives.
import { connect } from "node:net";

export class TcpPort {
  #host;
  #port;
  #socket = null;
  readable = null;
  writable = null;

  constructor(address) {
    const colon = address.lastIndexOf(":");
    this.#host = address.slice(0, colon);
    this.#port = Number(address.slice(colon + 1));
  }

  async open() {
    const socket = connect({ host: this.#host, port: this.#port, noDelay: true });
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    this.#socket = socket;
    this.readable = new ReadableStream({
      start(controller) {
        socket.on("data", (chunk) => controller.enqueue(new Uint8Array(chunk)));
        socket.once("close", () => {
          try {
            controller.close();
          } catch {
            // Cancelled before: closed already.
          }
        });
      },
    });
    this.writable = new WritableStream({
      write(chunk) {
        return new Promise((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve())));
      },
    });
  }

  async close() {
    const socket = this.#socket;
    this.#socket = this.readable = this.writable = null;
    if (socket && !socket.destroyed) {
      await new Promise((resolve) => {
        socket.once("close", resolve);
        socket.destroy();
      });
    }
  }

  // TCP has no rate; having the method spares esptool-js reopening the port.
  async setBaudRate() {}

  async setSignals() {}

  getInfo() {
    return {};
  }
}
