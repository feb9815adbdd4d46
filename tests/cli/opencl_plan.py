"""Runs a file of norma describe on OpenCL, from the JSON and the kernels beside it alone."""

import ctypes
import json
import os
from ctypes import byref, c_char_p, c_size_t, c_uint64, c_void_p

READ_WRITE, COPY_HOST_PTR, ALL_DEVICES, DEVICE_NAME = 1, 32, 0xFFFFFFFF, 0x102B


class OpenCL:
    def __init__(self, device_name):
        self.library = ctypes.CDLL("libOpenCL.so.1")
        self.device = self.find(device_name)
        self.context = self.make("clCreateContext", None, 1, byref(self.device), None, None)
        self.queue = self.make("clCreateCommandQueue", self.context, self.device, c_uint64(0))

    def call(self, name, *words):
        code = self.library[name](*words)
        if code:
            raise RuntimeError("%s: %d" % (name, code))

    def make(self, name, *words):
        code = ctypes.c_int()
        function = self.library[name]
        function.restype = c_void_p
        made = function(*words, byref(code))
        if code.value or not made:
            raise RuntimeError("%s: %d" % (name, code.value))
        return c_void_p(made)

    def find(self, wanted):
        platforms, count = (c_void_p * 8)(), ctypes.c_uint()
        self.call("clGetPlatformIDs", 8, platforms, byref(count))
        for platform in platforms[:count.value]:
            devices, text = (c_void_p * 8)(), ctypes.create_string_buffer(256)
            if self.library.clGetDeviceIDs(c_void_p(platform), c_uint64(ALL_DEVICES), 8, devices, byref(count)):
                continue
            for device in devices[:count.value]:
                self.call("clGetDeviceInfo", c_void_p(device), DEVICE_NAME, c_size_t(256), text, None)
                if text.value.decode() == wanted:
                    return c_void_p(device)
        raise RuntimeError("there is no device " + wanted)

    def kernel(self, folder, dispatch):
        with open(os.path.join(folder, dispatch["file"]), "rb") as file:
            text = c_char_p(file.read())
        program = self.make("clCreateProgramWithSource", self.context, 1, byref(text), None)
        self.call("clBuildProgram", program, 1, byref(self.device), dispatch["options"].encode(), None, None)
        return self.make("clCreateKernel", program, dispatch["entry"].encode())

    def enqueue(self, folder, dispatch, buffers):
        kernel, slots = self.kernel(folder, dispatch), len(dispatch["bindings"])
        for bound in dispatch["bindings"]:
            self.call("clSetKernelArg", kernel, bound["slot"], c_size_t(8), byref(buffers[bound["tensor"]]))
        words = dispatch.get("args") or dispatch["table"]
        words = (ctypes.c_uint32 * len(words))(*words)
        begins = (c_uint64 * slots)(*[bound["offset"] for bound in dispatch["bindings"]])
        for index, value in ((slots, words), (slots + 1, begins)):
            self.call("clSetKernelArg", kernel, index, c_size_t(ctypes.sizeof(value)), value)
        local = (c_size_t * 3)(*dispatch["local"])
        whole = (c_size_t * 3)(*[a * b for a, b in zip(dispatch["groups"], dispatch["local"])])
        self.call("clEnqueueNDRangeKernel", self.queue, kernel, 3, None, whole, local, 0, None, None)


def run(path, inputs):
    """The bytes of each tensor that is written; inputs: bytes by name."""
    with open(path) as file:
        plan = json.load(file)
    cl, buffers, outputs = OpenCL(plan["device"]["name"]), {}, {}
    sizes = {t["name"]: t["bytes"] for t in plan["tensors"]}
    sizes["workspace"] = max(plan["workspace"], 1)
    for name, size in sizes.items():
        content = ctypes.create_string_buffer(inputs.get(name, b"\xa5" * size), size)
        buffers[name] = cl.make("clCreateBuffer", cl.context, c_uint64(READ_WRITE | COPY_HOST_PTR), c_size_t(size),
                                content)
    if "count_offset" in plan:
        count = ctypes.create_string_buffer(inputs["row_count"], 4)
        cl.call("clEnqueueWriteBuffer", cl.queue, buffers["workspace"], 1, c_size_t(plan["count_offset"]), c_size_t(4),
                count, 0, None, None)
    for dispatch in plan["dispatches"]:
        cl.enqueue(os.path.dirname(path), dispatch, buffers)
    for tensor in plan["tensors"]:
        if tensor["written"]:
            content = ctypes.create_string_buffer(tensor["bytes"])
            cl.call("clEnqueueReadBuffer", cl.queue, buffers[tensor["name"]], 1, c_size_t(0), c_size_t(tensor["bytes"]),
                    content, 0, None, None)
            outputs[tensor["name"]] = content.raw
    return outputs
