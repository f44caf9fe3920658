/* Pictures in, pictures out, and what the build packed (book/_ext/srcnn_live.py). */

"use strict";

const srcnnFiles = {
  base:
    typeof document === "object"
      ? document.currentScript.src.replace(/[^/]*$/, "")
      : "",
  packed: {},
  models: {},

  /* A packed file calls this with what it holds. */
  add(name, content) {
    this.packed[name] = content;
  },

  /* A script rather than fetch(), which a page on a disk may not use. */
  need(name) {
    if (name in this.packed) return Promise.resolve(this.packed[name]);
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${this.base}${name}.js`;
      script.onload = () => resolve(this.packed[name]);
      script.onerror = () => {
        script.remove();
        reject(new Error(`${name}.js is missing here`));
      };
      document.head.append(script);
    });
  },

  bytes: (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)),

  async model(name) {
    const floats = (text) => new Float32Array(this.bytes(text).buffer);
    const packed = await this.need(`packed/${name}`);
    return (this.models[name] ??= packed.map((l) => ({
      ...l,
      weights: floats(l.weights),
      biases: floats(l.biases),
    })));
  },

  /* An own file, or a packed picture: { name, rgba, width, height, … }. */
  async picture({ picture }, own) {
    if (picture === "own") return this.read(own.file, own.name);
    const png = this.bytes(await this.need(`packed/${picture}`));
    return this.read(new Blob([png], { type: "image/png" }), picture);
  },

  async read(blob, title) {
    if (!blob.size) throw new Error(`${title} is empty: it has no bytes.`);
    let head;
    try {
      head = srcnnHeader(new Uint8Array(await blob.slice(0, 1 << 20).arrayBuffer()));
    } catch {
      throw new Error(`${title} can't be read; is it a folder, or has it moved?`);
    }
    const { width, height } = head;
    const name = title.replace(/\.\w+$/, "");
    if (head.isDrawing)
      throw new Error(`${title} is a drawing without pixels; save it as PNG first.`);
    const refused = width && srcnnState.tooLarge({ name: title, width, height });
    if (refused) throw new Error(refused);
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob, {
        colorSpaceConversion: "none",
        premultiplyAlpha: "none",
      });
    } catch {
      throw new Error(
        `${title}: not a picture that this browser can read; try a PNG or JPEG.`,
      );
    }
    try {
      return { name, notes: head.notes, ...(await this.pixels(bitmap)) };
    } catch {
      const size = `${bitmap.width} × ${bitmap.height}`;
      throw new Error(`${title}: ${size} pixels are more than this browser can hold.`);
    } finally {
      bitmap.close();
    }
  },

  /* Bytes of a picture, some rows at a time, so that the page stays awake. */
  async pixels(bitmap) {
    const ROWS = 128;
    const { width, height } = bitmap;
    const rgba = new Uint8ClampedArray(4 * width * height);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, ROWS];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    let grey = true;
    let opaque = true;
    for (let top = 0; top < height; top += ROWS) {
      const rows = Math.min(ROWS, height - top);
      context.clearRect(0, 0, width, ROWS);
      context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
      const { data } = context.getImageData(0, 0, width, rows);
      rgba.set(data, 4 * top * width);
      for (let k = 0; opaque && k < data.length; k += 4) {
        opaque = data[k + 3] === 255;
        grey &&= data[k] === data[k + 1] && data[k] === data[k + 2];
      }
      if (top + ROWS < height) await new Promise((next) => setTimeout(next));
    }
    const exact = opaque || (await this.uncovered(bitmap, rgba, ROWS));
    return { rgba, width, height, grey: grey && opaque, opaque, exact };
  },

  /* Where a picture is transparent a canvas loses colours; WebGL keeps them.
     Whether it could. */
  async uncovered(bitmap, rgba, ROWS) {
    const { width, height } = bitmap;
    const gl = document.createElement("canvas").getContext("webgl");
    if (!gl || width > gl.getParameter(gl.MAX_TEXTURE_SIZE)) return false;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    const texture = gl.getParameter(gl.TEXTURE_BINDING_2D);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    const format = [gl.RGBA, gl.UNSIGNED_BYTE];
    for (let top = 0; top < height; top += ROWS) {
      const rows = Math.min(ROWS, height - top);
      const part = await createImageBitmap(bitmap, 0, top, width, rows, {
        premultiplyAlpha: "none",
      });
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, ...format, part);
      const place = [gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D];
      gl.framebufferTexture2D(...place, texture, 0);
      const bytes = new Uint8Array(rgba.buffer, 4 * top * width, 4 * rows * width);
      gl.readPixels(0, 0, width, rows, ...format, bytes);
      part.close();
    }
    return gl.getError() === gl.NO_ERROR;
  },

  async save({ picture, request, canvas, clear }) {
    const { sr } = canvas;
    const blob = clear
      ? await srcnnPng(clear, sr.width, sr.height)
      : await new Promise((done) => sr.toBlob(done, "image/png"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${picture.name}_x${request.scale}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
  },
};

/* What the first bytes of a file say of it, before a browser makes pixels of them:
   { width, height } where the format is known, isDrawing, and notes, sentences about
   what a browser leaves out. */
function srcnnHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (from, n) => String.fromCharCode(...bytes.subarray(from, from + n));
  const found = { notes: [] };
  const size = (width, height) => Object.assign(found, { width, height });
  const isMoving = () => found.notes.push("Of an animation this is the first picture.");
  const formats = [
    ["\x89PNG", png],
    ["GIF8", gif],
    ["RIFF", webp],
    ["\xff\xd8", jpeg],
    ["BM", () => size(view.getInt32(18, true), Math.abs(view.getInt32(22, true)))],
  ];
  try {
    const format = formats.find(([magic]) => text(0, magic.length) === magic);
    if (format) format[1]();
    else found.isDrawing = /<svg[\s>]/i.test(text(0, 4096));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it ends early: let the browser say
  }
  return found;

  function png() {
    size(view.getUint32(16), view.getUint32(20));
    if (bytes[24] === 16) found.notes.push("Its 16 bits a channel were read as 8.");
    for (let at = 8; text(at + 4, 4) !== "IDAT"; at += 12 + view.getUint32(at))
      if (text(at + 4, 4) === "acTL") return isMoving();
  }

  function gif() {
    size(view.getUint16(6, true), view.getUint16(8, true));
    const table = (flags) => (flags & 128 ? 3 << ((flags & 7) + 1) : 0);
    let pictures = 0;
    for (let at = 13 + table(bytes[10]); at < bytes.length && bytes[at] !== 0x3b;) {
      if (bytes[at] === 0x2c) {
        if (++pictures === 2) return isMoving();
        at += 11 + table(bytes[at + 9]);
      } else at += 2;
      while (bytes[at]) at += 1 + bytes[at];
      at++;
    }
  }

  function webp() {
    const three = (at) => view.getUint16(at, true) + (bytes[at + 2] << 16);
    const kind = text(12, 4);
    if (kind === "VP8X") {
      size(1 + three(24), 1 + three(27));
      if (bytes[20] & 2) isMoving();
    } else if (kind === "VP8 ")
      size(view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
    else if (kind === "VP8L") {
      const bits = view.getUint32(21, true);
      size(1 + (bits & 0x3fff), 1 + ((bits >> 14) & 0x3fff));
    }
  }

  function jpeg() {
    for (let at = 2; bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
      const marker = bytes[at + 1];
      if (marker < 0xc0 || marker > 0xcf || [0xc4, 0xc8, 0xcc].includes(marker))
        continue;
      size(view.getUint16(at + 7), view.getUint16(at + 5));
      if (bytes[at + 9] === 4)
        found.notes.push("Its four inks (CMYK) were turned into red, green and blue.");
      return;
    }
  }
}

/* A PNG file of RGBA bytes, as they are (a canvas changes transparent ones). */
async function srcnnPng(rgba, width, height) {
  const lines = new Uint8Array(height * (4 * width + 1)); // 0 first: no filter
  for (let y = 0; y < height; y++) {
    const line = rgba.subarray(4 * y * width, 4 * (y + 1) * width);
    lines.set(line, y * (4 * width + 1) + 1);
  }
  const zipped = new Blob([lines])
    .stream()
    .pipeThrough(new CompressionStream("deflate"));
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const number = (n) => new Uint8Array(new Uint32Array([n]).buffer).reverse();
  function chunk(type, content) {
    const body = new Uint8Array(4 + content.length);
    body.set(new TextEncoder().encode(type));
    body.set(content, 4);
    let crc = ~0;
    for (const byte of body) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
    return [number(content.length), body, number(~crc)];
  }
  const head = Uint8Array.of(...number(width), ...number(height), 8, 6, 0, 0, 0);
  return new Blob(
    [
      Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
      ...chunk("IHDR", head),
      ...chunk("IDAT", new Uint8Array(await new Response(zipped).arrayBuffer())),
      ...chunk("IEND", []),
    ],
    { type: "image/png" },
  );
}
