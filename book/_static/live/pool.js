/* Workers that compute strips of one picture, each with engine.js in it. */

"use strict";

class SrcnnPool {
  constructor(wasm) {
    const text = `"use strict"; ${srcnnEngine}
      let engine;
      onmessage = ({ data }) => {
        if (data.wasm) { engine = srcnnEngine(data.wasm); return; }
        const { task, id } = data;
        if (task.kind === "shrink") {
          const told = (done) => postMessage({ id, progress: done });
          const result = engine.shrink(task, told);
          const planes = [result.luma, ...Object.values(result.small)];
          postMessage({ id, result }, planes.map((v) => v.buffer));
          return;
        }
        if (task.rgba) task.small = engine.split(task.rgba, task.grey, task.opaque);
        const result = engine.strip(task);
        postMessage({ id, result }, Object.values(result)
          .filter((v) => v.buffer).map((v) => v.buffer)
          .filter((b, k, all) => all.indexOf(b) === k));
      };`;
    this.url = URL.createObjectURL(new Blob([text]));
    this.wasm = wasm;
    this.size = Math.max(1, Math.min(8, navigator.hardwareConcurrency || 2));
    this.workers = [];
  }

  /* Do tasks in order, each made when a worker is free for it. */
  run(count, make, onResult, onProgress = () => {}) {
    this.stop();
    return new Promise((resolve, reject) => {
      let next = 0,
        done = 0;
      this.refuse = reject;
      const give = (worker) => {
        if (next === count) return;
        const id = next++;
        const task = make(id);
        worker.postMessage({ id, task });
      };
      for (let k = 0; k < Math.min(this.size, count); k++) {
        const worker = (this.workers[k] ??= this.worker());
        worker.onerror = (e) => this.stop(e.message);
        worker.onmessage = ({ data }) => {
          if (data.progress !== undefined) return onProgress(data.progress);
          onResult(data.result, data.id);
          onProgress(++done / count);
          if (done < count) return give(worker);
          this.refuse = null;
          resolve();
        };
        give(worker);
      }
    });
  }

  /* Start the workers, whose code takes a moment to compile. */
  warm() {
    for (let k = 0; k < this.size; k++) this.workers[k] ??= this.worker();
  }

  worker() {
    const worker = new Worker(this.url);
    worker.postMessage({ wasm: this.wasm });
    return worker;
  }

  /* End what is running; its promise is refused where there is a reason.  Idle
     workers stay: their code has been compiled. */
  stop(reason) {
    if (!this.refuse) return;
    this.workers.forEach((worker) => worker.terminate());
    this.workers = [];
    if (reason) this.refuse(new Error(reason));
    this.refuse = null;
  }
}
