// @ts-check
/** Whether a processor's int8 products are too small: x86 without VNNI adds pairs of them in 16 bits, which saturates. */

/** An ONNX graph: y = MatMulInteger(a uint8 [m, k], b int8 [k, n]), int32. */
const PRODUCT =
  "CAg6YgoYCgFhCgFiEgF5Ig1NYXRNdWxJbnRlZ2VyEgFnWhUKAWESEAoOCAISCgoDEgFtCgMSAWtaFQoBYhIQCg4IAxIKCgMSAWsKAxIBbmIV" +
  "CgF5EhAKDggGEgoKAxIBbQoDEgFuQgQKABAK";

/** @param {any} ort the module onnxruntime-node; WebAssembly has no such products */
export async function saturates(ort) {
  const session = await ort.InferenceSession.create(Uint8Array.from(atob(PRODUCT), (one) => one.charCodeAt(0)));
  const a = new ort.Tensor("uint8", new Uint8Array(4 * 8).fill(255), [4, 8]);
  const b = new ort.Tensor("int8", new Int8Array(8 * 16).fill(127), [8, 16]);
  const { y } = await session.run({ a, b });
  return y.data.some((/** @type {number} */ sum) => sum !== 255 * 127 * 8);
}
