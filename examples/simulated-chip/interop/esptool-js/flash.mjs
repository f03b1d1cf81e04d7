// Flashes a file to a simulated chip with esptool-js and prints what it saw as
// one JSON object.
//
//   node flash.mjs ADDRESS stub|rom FILE OFFSET
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ESPLoader, Transport } from "esptool-js";
import { TcpPort } from "./tcp-port.mjs";

const [address, loaderName, file, offsetText] = process.argv.slice(2);
const offset = Number(offsetText);
const image = new Uint8Array(await readFile(file));
const md5 = (bytes) => createHash("md5").update(bytes).digest("hex");

const log = [];
const terminal = {
  clean() {},
  write: (text) => log.push(text),
  writeLine: (text) => log.push(text),
};
const transport = new Transport(new TcpPort(address));
const loader = new ESPLoader({ transport, baudrate: 460800, romBaudrate: 115200, terminal });
const result = { loader: loaderName };

const options = {
  fileArray: [{ data: image, address: offset }],
  flashSize: "keep",
  flashMode: "keep",
  flashFreq: "keep",
  eraseAll: false,
  compress: true,
};

try {
  if (loaderName === "stub") {
    result.description = await loader.main();
    result.mac = await loader.chip.readMac(loader);
    result.flashSize = await loader.detectFlashSize();
    // With a hash function writeFlash compares and throws when they differ.
    await loader.writeFlash({ ...options, calculateMD5Hash: md5 });
    result.md5 = await loader.flashMd5sum(offset, image.length);
    result.readBack = md5(await loader.readFlash(offset, image.length));
  } else {
    await loader.detectChip();
    result.description = await loader.chip.getChipDescription(loader);
    // The library never attaches the flash without a stub, nor takes the ROM's
    // smaller blocks: both are told to it here, with its own commands.
    await loader.checkCommand("attach the flash", loader.ESP_SPI_ATTACH, new Uint8Array(8));
    loader.FLASH_WRITE_SIZE = 0x400;
    await loader.writeFlash(options);
    // The ROM answers the MD5 as text, which the library takes for raw bytes.
    const text = await loader.flashMd5sum(offset, image.length);
    result.md5 = Buffer.from(text, "hex").toString("ascii");
  }
  result.chip = loader.chip.CHIP_NAME;
  result.stub = loader.IS_STUB;
} catch (error) {
  result.error = String(error);
  result.log = log;
} finally {
  await transport.disconnect();
}
console.log(JSON.stringify(result));
process.exit(result.error ? 1 : 0);
