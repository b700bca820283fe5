"""Stands for a Triton server, in an environment with Triton's client: not Triton, but its protocol and its schema.

    python triton_stand_in.py models/demo 127.0.0.1:8001
    python triton_stand_in.py --show models/demo/config.pbtxt

It reads config.pbtxt as Triton does (text of the message ModelConfig), checks what Triton's core checks of shapes,
checks requests by the configuration, and runs the graph with ONNX Runtime, reshaped as the configuration says.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
from google.protobuf import json_format, text_format
from rim_runtime.libraries.onnxruntime import import_onnxruntime
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

TYPES = {"TYPE_INT64": ("INT64", np.int64, "tensor(int64)"), "TYPE_FP32": ("FP32", np.float32, "tensor(float)")}


def read_config(file: Path) -> model_config_pb2.ModelConfig:
    """Read a configuration and check what Triton's core and the ONNX Runtime backend check of its tensors."""
    config = text_format.Parse(file.read_text(encoding="utf-8"), model_config_pb2.ModelConfig())
    for tensor in (*config.input, *config.output):
        assert tensor.name and tensor.dims, f"{tensor.name} has no dims"
        if tensor.HasField("reshape") and not tensor.reshape.shape:
            assert config.max_batch_size > 0, "an empty reshape needs batches"
            assert list(tensor.dims) == [1], "an empty reshape is of one element"
    return config


def given_shape(tensor: object) -> list[int]:
    """Return the shape that the graph is given for an item of the batch."""
    return list(tensor.reshape.shape) if tensor.HasField("reshape") else list(tensor.dims)


def type_name(tensor: object) -> str:
    """Return a tensor's type as the schema spells it."""
    return model_config_pb2.DataType.Name(tensor.data_type)


def check_graph(config: object, session: object) -> None:
    """Check that the graph takes and gives what the configuration says, the batch first."""
    for listed, has in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        found = {one.name: one for one in has}
        assert {one.name for one in listed} == set(found)
        for tensor in listed:
            graph = found[tensor.name]
            assert graph.type == TYPES[type_name(tensor)][2], tensor.name
            shape = [-1 if isinstance(size, str) else size for size in graph.shape]
            assert shape == [-1, *given_shape(tensor)], (tensor.name, shape)


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    """One model."""

    def __init__(self, folder: Path) -> None:
        self.config = read_config(folder / "config.pbtxt")
        assert self.config.name == folder.name
        self.session = import_onnxruntime().InferenceSession(
            str(folder / "1" / "model.onnx"), providers=["CPUExecutionProvider"]
        )
        check_graph(self.config, self.session)

    def ModelInfer(self, request: object, context: grpc.ServicerContext) -> object:  # noqa: N802 (Triton's name)
        """Answer one request."""
        assert request.model_name == self.config.name
        tensors = {one.name: one for one in self.config.input}
        feed = {}
        for tensor, content in zip(request.inputs, request.raw_input_contents, strict=True):
            wanted = tensors.pop(tensor.name)
            name, dtype, _ = TYPES[type_name(wanted)]
            assert tensor.datatype == name
            batch, *item = tensor.shape
            assert 1 <= batch <= self.config.max_batch_size
            assert len(item) == len(wanted.dims)
            assert all(size in (-1, has) for size, has in zip(wanted.dims, item, strict=True)), tensor.name
            array = np.frombuffer(content, dtype).reshape(tensor.shape)
            feed[tensor.name] = (
                array.reshape(batch, *wanted.reshape.shape) if wanted.HasField("reshape") else array
            )
        assert not tensors, f"{', '.join(tensors)} is missing"
        (output,) = self.config.output
        (found,) = self.session.run([output.name], feed)
        assert list(found.shape[1:]) == list(output.dims)
        told = service_pb2.ModelInferResponse.InferOutputTensor(
            name=output.name, datatype=TYPES[type_name(output)][0], shape=found.shape
        )
        return service_pb2.ModelInferResponse(
            model_name=self.config.name, outputs=[told], raw_output_contents=[found.tobytes()]
        )


def serve(folder: Path, address: str) -> None:
    """Answer until the process is told to end."""
    server = grpc.server(ThreadPoolExecutor(2))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Server(folder), server)
    server.add_insecure_port(address)
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1] == "--show":
        shown = json_format.MessageToDict(read_config(Path(sys.argv[2])), preserving_proto_field_name=True)
        print(json.dumps(shown))
    else:
        serve(Path(sys.argv[1]), sys.argv[2])
