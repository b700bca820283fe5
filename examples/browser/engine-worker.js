// @ts-check
/** The worker that answers, as a page talks to it: the page stays alive while a model computes. */

export class EngineWorker {
  constructor() {
    // Made of a blob, a worker inherits the page's Content-Security-Policy; one of a file would have none.
    const start = `import ${JSON.stringify(new URL("worker.js", document.baseURI).href)};`;
    const address = URL.createObjectURL(new Blob([start], { type: "text/javascript" }));
    this.worker = new Worker(address, { type: "module" });
    /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void, tell: (step: any) => void}>} */
    this.waiting = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      for (const one of this.waiting.values()) one.reject(new Error(event.message || "The worker could not start."));
    };
  }

  /** Ask the worker to do something. @param {string} task @param {object} [given] @param {(step: any) => void} [tell]
   * @returns {Promise<any>} */
  do(task, given = {}, tell = () => {}) {
    const id = ++this.count;
    this.worker.postMessage({ id, task, given });
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject, tell }));
  }

  /** @param {{id: number, result?: any, error?: string, step?: any}} data */
  receive({ id, result, error, step }) {
    const one = this.waiting.get(id);
    if (!one) return;
    if (step !== undefined) return one.tell(step);
    this.waiting.delete(id);
    if (error === undefined) one.resolve(result);
    else one.reject(new Error(error));
  }
}
